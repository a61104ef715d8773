import { expect, it } from 'vitest';
import type { Pod } from '../../../src/model/cluster.ts';
import { Interning } from '../../../src/sources/kubernetes/interning.ts';

const pod = (name: string, app: string): Pod => ({
  kind: 'Pod',
  namespace: 'shop',
  name,
  labels: { app },
  node: 'node1',
  addresses: [],
  hostNetwork: false,
  finished: false,
  ports: [{ protocol: 'TCP', port: 80 }],
});

it('replicas share what is equal in them, and say the same as before', () => {
  const interning = new Interning();
  const first = interning.share(pod('a', 'web')) as Pod;
  const second = interning.share(pod('b', 'web')) as Pod;
  expect(second).toEqual(pod('b', 'web'));
  expect(second.labels).toBe(first.labels);
  expect(second.ports).toBe(first.ports);
});

it('what was not used for long is forgotten, what is used stays', () => {
  const interning = new Interning();
  const first = interning.share(pod('a', 'web')) as Pod;
  const idle = interning.share(pod('b', 'idle')) as Pod;
  for (let count = 0; count < 100_000; count++) {
    interning.share(pod('c', `app-${count}`));
    if (count % 10_000 === 0) expect((interning.share(pod('a', 'web')) as Pod).labels).toBe(first.labels);
  }
  expect((interning.share(pod('b', 'idle')) as Pod).labels).not.toBe(idle.labels);
});
