/** libbpf, tc and netlink for Node: objects, maps, programs, tc links, ring buffers, network namespaces and their sockets. */

export { BpfMap, type MapCreateOptions, type MapEntries, type MapInfo, mapFlags, type UpdateFlag } from './bpf-map.js';
export { BpfObject, type BpfObjectOptions, type MapSpec, type ProgramSpec, type RodataVariable } from './bpf-object.js';
export {
  BpfProgram,
  type ProgramInfo,
  type SkbContext,
  type TestRunOptions,
  type TestRunResult,
} from './bpf-program.js';
export { isBpffs, mountBpffs } from './bpffs.js';
export { BpfError, ClosedError } from './errors.js';
export * as features from './features.js';
export { possibleCpus, tickNanoseconds } from './features.js';
export { tryLock } from './file-lock.js';
export type { EnumLayout, Layout, Member, StructLayout, TypeKind, TypeLayout, Variable } from './layout.js';
export { MappedMap } from './mapped-map.js';
export { trimMemory } from './memory.js';
export * as netlink from './netlink.js';
export * as netns from './netns.js';
export { type NflogPacket, NflogReader, type NflogReaderOptions } from './nflog.js';
export { type Frame, PacketSocket, type PacketSocketOptions } from './packet-socket.js';
export { RingBuffer } from './ring-buffer.js';
export * as socket from './socket.js';
export {
  type AttachedProgram,
  type AttachTcOptions,
  attachTc,
  attachTcInBackground,
  type ClsactFilter,
  detachTc,
  listTc,
  type TcDirection,
  TcLink,
  type TcLinkInfo,
  type TcMode,
} from './tc-link.js';
