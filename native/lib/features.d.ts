/** Whether tc programs can be attached by tcx links. Asked of the kernel once per process. @throws BpfError EPERM */
export function hasTcx(): boolean;
/** Whether the kernel has batch look-ups for a type of map ('hash', 'lpm_trie' ...). Once per process and type. */
export function hasBatch(mapType: string): boolean;
/** CPUs that could ever be there: as many values does an element of a per-CPU map have. */
export function possibleCpus(): number;
/** Nanoseconds of one tick of the kernel's jiffies (1 / HZ). */
export function tickNanoseconds(): number;
/** The libbpf in use: '1.1'. */
export function libbpfVersion(): string;
