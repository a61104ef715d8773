/** What the kernel and this process's rights give, seen by trying. */
import { accessSync, constants, statfsSync } from 'node:fs';
import { release } from 'node:os';
import { isKernelSince, OLDEST_FOR_BPF } from '../../kernel-release.ts';
import { isBpffs } from '../../native.ts';
import { type Capability, missingCapabilities } from '../../privilege.ts';
import { type Check, failure, ok, unknown, warning } from '../check.ts';
import type { NodeFacts } from '../node-facts.ts';
import type { Attempt } from '../trial.ts';

/** What kernels got when, by their own history; see docs/operations.md. */
const SINCE = { required: OLDEST_FOR_BPF, conntrack: [5, 18], tcx: [6, 6] } as const;
const FALLS_BACK = 'the agent falls back to ipset and iptables with --dataplane auto';

export const kernelChecks: readonly Check[] = [
  {
    id: 'kernel-version',
    group: 'kernel',
    looksAt: 'the kernel: 5.12 for the programs and maps, 5.18 to ask conntrack, 6.6 for TCX',
    run: () => {
      const found = `Linux ${release()}`;
      if (!isKernelSince(SINCE.required)) {
        const first = SINCE.required.join('.');
        return warning(
          found,
          `older than ${first}: no atomic exchanges; ${FALLS_BACK}`,
          `use a kernel from ${first} on for BPF`,
        );
      }
      const lacks = [
        ...(isKernelSince(SINCE.conntrack) ? [] : ['conntrack cannot be asked (5.18)']),
        ...(isKernelSince(SINCE.tcx) ? [] : ['programs are attached by clsact (TCX: 6.6)']),
      ];
      return ok(found, lacks.length === 0 ? undefined : lacks.join('; '));
    },
  },
  {
    id: 'capabilities',
    group: 'kernel',
    looksAt:
      'which of CAP_NET_ADMIN, CAP_NET_BROADCAST, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN this process has in effect',
    run: () => {
      const needed: Capability[] = ['CAP_NET_ADMIN', 'CAP_NET_BROADCAST', 'CAP_BPF', 'CAP_PERFMON'];
      const missing = missingCapabilities([...needed, 'CAP_SYS_ADMIN']);
      if (missing.length === 0) return ok([...needed, 'CAP_SYS_ADMIN'].join(', '));
      const found = `missing here: ${missing.join(', ')}`;
      if (missing.length === 1 && missing[0] === 'CAP_SYS_ADMIN') {
        return ok(
          found,
          'enough for the agent; mounting a bpffs, asking a modular conntrack and some checks here take it',
        );
      }
      return unknown(
        found,
        'run it as root; the agent itself needs CAP_NET_ADMIN, CAP_NET_BROADCAST, CAP_BPF and CAP_PERFMON',
      );
    },
  },
  {
    id: 'bpf',
    group: 'kernel',
    looksAt: 'load the programs, make the maps, attach to a veth of its own',
    run: async (node) => {
      const { bpf } = await node.trial();
      if (bpf.works) return ok(`the programs load and run here; ${bpf.words}`);
      return warning(
        bpf.words,
        `BPF cannot be used here: ${FALLS_BACK}`,
        'see "Choosing the data plane" in docs/operations.md',
      );
    },
  },
  {
    id: 'attach',
    group: 'kernel',
    looksAt: 'how programs get onto interfaces: TCX or clsact',
    run: async (node) => {
      const { mode, bpf } = await node.trial();
      if (mode === 'tcx') return ok('TCX links');
      if (mode === 'clsact')
        return ok('clsact filters', 'the same programs; `tc qdisc del` of another would take them off');
      return warning(
        'nothing was attached',
        `neither TCX nor clsact was reached: ${bpf.words}`,
        'mend what the check `bpf` names',
      );
    },
  },
  mapCheck('ring-buffer', 'make a ring buffer, for events', ({ ringBuffer }) => ringBuffer),
  mapCheck('lpm', 'make an LPM map, for ipBlocks', ({ lpm }) => lpm),
  {
    id: 'conntrack-lookup',
    group: 'kernel',
    looksAt: 'whether the programs may ask conntrack who began a connection',
    run: async (node) => {
      const { conntrack } = await node.trial();
      if (conntrack) return ok('can be asked');
      if (conntrack === undefined) return unknown('the programs cannot be loaded', 'mend what the check `bpf` names');
      return warning(
        'cannot be asked',
        'a connection older than the agent, or evicted from its table, is judged as a request: it breaks once where policy does not admit it that way round',
        'a kernel from 5.18 on with BTF; where nf_conntrack is a module, CAP_SYS_ADMIN or loading it before',
      );
    },
  },
  {
    id: 'bpffs',
    group: 'kernel',
    looksAt: 'a bpffs on /sys/fs/bpf that can be written to',
    run: (node) => bpffs(node),
  },
  {
    id: 'limits',
    group: 'kernel',
    looksAt: 'descriptors that a process may open; locked memory where the kernel counts it (before 5.11)',
    run: (node) => limits(node),
  },
  {
    id: 'run-space',
    group: 'kernel',
    looksAt: 'free space of /run, for sockets and locks',
    run: (node) => {
      if (!node.exists('/run')) return failure('there is no /run', 'the agent has nowhere for its socket', 'make it');
      const { bavail, bsize } = statfsSync(node.path('/run'));
      const mebibytes = Math.floor((bavail * bsize) / (1 << 20));
      const found = `${mebibytes} MiB free`;
      if (mebibytes >= 1) return ok(found);
      return failure(found, 'the agent cannot make its socket', 'make room in /run');
    },
  },
  {
    id: 'clock',
    group: 'kernel',
    looksAt: 'whether the time can be true: not before this program was made, and who keeps it',
    run: (node) => clock(node, new Date()),
  },
];

/** @param now injectable: tests cannot set the clock */
export function clock(node: NodeFacts, now: Date) {
  const found = now.toISOString().replace(/\.\d+Z$/, 'Z');
  const means = 'certificates and tokens of the API server are refused, and the times of flows are wrong';
  if (now.getTime() < Date.UTC(2026, 0)) return failure(found, means, 'set the clock; run chrony or systemd-timesyncd');
  const source = node.read('/sys/devices/system/clocksource/clocksource0/current_clocksource')?.trim() ?? 'unknown';
  if (node.exists('/run/systemd/timesync/synchronized')) return ok(`${found}, kept by systemd-timesyncd (${source})`);
  if (node.exists('/run/chrony') || node.exists('/run/chrony.pid')) return ok(`${found}, chrony runs (${source})`);
  return ok(
    `${found} (${source})`,
    'who keeps it is not seen from here; skew to other nodes cannot be measured without them',
  );
}

function bpffs(node: NodeFacts) {
  const path = node.path('/sys/fs/bpf');
  if (!isBpffs(path)) {
    return warning(
      'none is mounted on /sys/fs/bpf',
      'enforcement could not outlive the agent: it mounts one where it has CAP_SYS_ADMIN, else it falls back to ipset',
      'mount -t bpf bpf /sys/fs/bpf',
    );
  }
  try {
    accessSync(path, constants.W_OK);
    return ok('mounted and writable');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') return unknown('mounted; it is not this user’s to write to');
    return failure(
      `mounted, but not writable (${code})`,
      'nothing can be pinned there',
      'mount -o remount,rw /sys/fs/bpf',
    );
  }
}

const ENOUGH_DESCRIPTORS = 1024;

function limits(node: NodeFacts) {
  const text = node.read('/proc/self/limits');
  if (text === undefined) return unknown('/proc/self/limits is not there', 'mount /proc');
  const soft = (name: string) => new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(text)?.[1] ?? 'unlimited';
  const files = soft('Max open files');
  const memory = soft('Max locked memory');
  if (files !== 'unlimited' && Number(files) < ENOUGH_DESCRIPTORS) {
    const means = 'maps and links of many pods do not fit, and interfaces cannot be listed';
    return warning(`${files} descriptors`, means, `ulimit -n ${ENOUGH_DESCRIPTORS} or more`);
  }
  if (memory !== 'unlimited' && !isKernelSince([5, 11])) {
    return warning(`${memory} bytes of locked memory`, 'this kernel counts maps as such', 'ulimit -l unlimited');
  }
  return ok(`${files} descriptors${isKernelSince([5, 11]) ? '' : ', locked memory unlimited'}`);
}

function mapCheck(id: string, looksAt: string, of: (trial: Awaited<ReturnType<NodeFacts['trial']>>) => Attempt): Check {
  return {
    id,
    group: 'kernel',
    looksAt,
    run: async (node) => {
      const { works, words } = of(await node.trial());
      return works ? ok(words) : warning(words, `BPF cannot be used here: ${FALLS_BACK}`, 'see the check `bpf`');
    },
  };
}
