// Network namespaces and veth pairs for tests, named after the process so that leftovers can be found.
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { afterAll } from 'vitest';
import { mountBpffs, netlink, netns } from '../../lib/index.js';

let count = 0;

export const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });

const made = new Set();
const pinned = [];
afterAll(() => {
  for (const name of made) removeNetns(name);
  for (const path of pinned) rmSync(path, { force: true });
});

/** A new namespace with its loopback up. @returns its name */
export function makeNetns() {
  const name = `slv-${process.pid}-n${count++}`;
  ip('netns', 'add', name);
  made.add(name);
  ip('-n', name, 'link', 'set', 'lo', 'up');
  return name;
}

export function removeNetns(name) {
  made.delete(name);
  if (existsSync(`/run/netns/${name}`)) ip('netns', 'delete', name);
}

/**
 * Two namespaces joined by a veth pair: `eth0` in each, 10.9.0.1 and fd09::1 in the left one, .2 and ::2 in the right.
 * Addresses and neighbours are fixed, so no packet but the test's own is on the wire.
 */
export function makePair() {
  const [left, right] = [makeNetns(), makeNetns()];
  ip('-n', left, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', right);
  const sides = [left, right].map((name, i) => {
    ip('-n', name, 'address', 'add', `10.9.0.${i + 1}/24`, 'dev', 'eth0');
    ip('-n', name, 'address', 'add', `fd09::${i + 1}/64`, 'dev', 'eth0', 'nodad');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
    const link = netns.run(name, () => netlink.links().find(({ name }) => name === 'eth0'));
    return { name, ifindex: link.ifindex, mac: link.mac, ip4: `10.9.0.${i + 1}`, ip6: `fd09::${i + 1}` };
  });
  sides.forEach((side, i) => {
    const other = sides[1 - i];
    ip('-n', side.name, 'neighbour', 'replace', other.ip4, 'lladdr', other.mac, 'dev', 'eth0');
  });
  return {
    left: sides[0],
    right: sides[1],
    remove: () => {
      removeNetns(left);
      removeNetns(right);
    },
  };
}

/** A path in the bpffs that goes with the test file. */
export function pinPath(name) {
  mountBpffs('/sys/fs/bpf');
  const path = `/sys/fs/bpf/slv-${process.pid}-${name}${count++}`;
  pinned.push(path);
  return path;
}
