// One open handle of each kind, and what of the kernel's a process holds.
import { readdirSync, readlinkSync } from 'node:fs';
import { attachTc, BpfMap, NflogReader, netlink, netns, PacketSocket, RingBuffer } from '../../lib/index.js';
import { loadFixture } from './fixture.js';

export const LOOPBACK = 1;

/** One of each kind of handle, in a namespace of its own. */
export function openAll(name) {
  const object = loadFixture();
  const map = object.map('counts');
  return {
    object,
    map,
    mapped: object.map('shared').mmap(),
    program: object.program('drop'),
    ring: new RingBuffer(object.map('events'), () => {}),
    created: BpfMap.create({ type: 'hash', keySize: 4, valueSize: 4, maxEntries: 1 }),
    tcx: netns.run(name, () =>
      attachTc(object.program('pass'), { ifindex: LOOPBACK, direction: 'ingress', mode: 'tcx' }),
    ),
    clsact: netns.run(name, () =>
      attachTc(object.program('pass'), { ifindex: LOOPBACK, direction: 'egress', mode: 'clsact' }),
    ),
    watch: netns.run(name, () => netlink.watch(() => {})),
    nflog: netns.run(name, () => new NflogReader({ group: 1, onPacket: () => {} })),
    packets: netns.run(name, () => new PacketSocket({ ifindex: LOOPBACK, onFrame: () => {} })),
  };
}

/** What of the kernel's this process holds open. */
export function heldFds() {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return /bpf|netlink|socket:|net:\[/.test(target) ? [target] : [];
    } catch {
      return []; // the one that was listing
    }
  });
}
