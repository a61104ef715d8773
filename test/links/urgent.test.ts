/** What of the node's interfaces may wait for the next state. */
import { expect, it } from 'vitest';
import { isUrgent } from '../../src/links/urgent.ts';
import type { Address } from '../../src/model/address.ts';
import type { NodeLinks } from '../../src/model/links.ts';

const links = (more: Partial<NodeLinks> = {}): NodeLinks => ({
  pods: new Map([[7, { ifindex: 7, name: 'veth7', addresses: ['10.0.0.7' as Address] }]]),
  exits: new Map([[2, { ifindex: 2, name: 'eth0' }]]),
  ownAddresses: own('10.0.0.1'),
  gone: new Set(),
  missed: false,
  ...more,
});
const own = (...addresses: string[]) => new Set(addresses as Address[]);

it('a link-local address of the node’s that comes or goes, and nothing else', () => {
  const more = links({ ownAddresses: own('10.0.0.1', 'fe80::1') });
  expect([isUrgent(links(), more), isUrgent(more, links())]).toEqual([false, false]);
});

it('anything else is urgent, also beside one', () => {
  const ownAddresses = own('10.0.0.1', 'fe80::1');
  expect(isUrgent(undefined, links())).toBe(true);
  expect(isUrgent(links(), links())).toBe(true);
  expect(isUrgent(links(), links({ ownAddresses: own('10.0.0.1', 'fe80::1', 'fd00::1') }))).toBe(true);
  expect(isUrgent(links(), links({ ownAddresses, missed: true }))).toBe(true);
  expect(isUrgent(links(), links({ ownAddresses, gone: new Set([7]) }))).toBe(true);
  expect(isUrgent(links(), links({ ownAddresses, exits: new Map() }))).toBe(true);
  const pods = new Map([[7, { ifindex: 7, name: 'veth7', addresses: [] }]]);
  expect(isUrgent(links(), links({ ownAddresses, pods }))).toBe(true);
});
