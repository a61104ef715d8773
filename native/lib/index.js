// libbpf, tc and netlink for Node; index.d.ts says what each of these is.
export { BpfMap, mapFlags } from './bpf-map.js';
export { BpfObject } from './bpf-object.js';
export { BpfProgram } from './bpf-program.js';
export { isBpffs, mountBpffs } from './bpffs.js';
export { BpfError, ClosedError } from './errors.js';
export * as features from './features.js';
export { possibleCpus, tickNanoseconds } from './features.js';
export { tryLock } from './file-lock.js';
export { MappedMap } from './mapped-map.js';
export { trimMemory } from './memory.js';
export * as netlink from './netlink.js';
export * as netns from './netns.js';
export { NflogReader } from './nflog.js';
export { PacketSocket } from './packet-socket.js';
export { RingBuffer } from './ring-buffer.js';
export * as socket from './socket.js';
export { attachTc, attachTcInBackground, detachTc, listTc, TcLink } from './tc-link.js';
