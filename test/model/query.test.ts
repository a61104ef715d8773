import { expect, it } from 'vitest';
import { parseQuery } from '../../src/model/query.ts';

it.each([
  ['{"to":"a/b","port":80}', 'from: must be text, not missing'],
  ['{"from":5,"to":"a/b","port":80}', 'from: must be text, not 5'],
  ['{"from":"a/b","to":"a/b","port":"80"}', 'port: must be a number from 1 to 65535, not "80"'],
  ['{"from":"a/b","to":"a/b","port":0}', 'port: must be a number from 1 to 65535, not 0'],
  ['{"from":"a/b","to":"a/b","port":80.5}', 'port: must be a number from 1 to 65535, not 80.5'],
  ['{"from":"a/b","to":"a/b","port":1,"protocol":"tcp"}', 'protocol: must be TCP, UDP, SCTP or ICMP, not "tcp"'],
  ['{"from":"a/b","to":"a/b"}', 'port: must be a number from 1 to 65535, not missing (only protocol ICMP has none)'],
  ['{"from":"a/b","to":"a/b","port":8,"protocol":"ICMP"}', 'port: ICMP has none, not 8'],
  ['{"from":"a/b","to":"a/b","port":1,"family":4}', 'family: must be IPv4 or IPv6, not 4'],
  ['[]', 'the query: must be an object, not []'],
])('%s is refused in words', (text, message) => {
  expect(() => parseQuery(text)).toThrow(`${message}: ${text}`);
});
