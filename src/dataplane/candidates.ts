/** The data planes of this node as candidates: each is tried by doing what it would do for a pod. */
import { existsSync } from 'node:fs';
import { run } from '../child-process.ts';
import { explainOldKernel } from '../kernel-release.ts';
import { attachTc, netlink, type TcMode } from '../native.ts';
import { explainRefusal } from '../privilege.ts';
import { cleanupBpfDataplane, type OpenedBpfDataplane, type OpenOptions, openBpfDataplane } from './bpf/open.ts';
import { mapDirectories } from './bpf/pins.ts';
import {
  cleanupIpsetDataplane,
  type OpenOptions as IpsetOpenOptions,
  isIpsetInForce,
  openIpsetDataplane,
} from './ipset/open.ts';
import type { Candidate, DataplaneKind } from './select.ts';

export interface CandidatesOptions {
  readonly bpf: OpenOptions;
  readonly ipset: IpsetOpenOptions;
  /** In place of the kernel's way to attach a program, for tests. */
  readonly attach?: typeof attachTc;
  /** Told when rules of both variants of iptables are in use on the node. */
  readonly onBothVariants?: (reason: string) => void;
}

export function makeCandidates(options: CandidatesOptions): Record<DataplaneKind, Candidate> {
  const { directory } = options.bpf;
  return {
    bpf: {
      open: () => tryBpf(options.bpf, options.attach ?? attachTc),
      isInForce: async () => mapDirectories(directory).length > 0,
      remove: async () => {
        if (existsSync(directory)) await cleanupBpfDataplane(directory);
      },
    },
    ipset: {
      open: async () => {
        const { dataplane, choice } = await openIpsetDataplane(options.ipset);
        if (choice.both) options.onBothVariants?.(choice.reason);
        return { dataplane, detail: `iptables-${choice.variant}: ${choice.reason}` };
      },
      isInForce: () => isIpsetInForce(options.ipset),
      remove: () => cleanupIpsetDataplane(options.ipset),
    },
  };
}

/** From maps of another layout. */
const UPGRADES = {
  taken: 'new maps in place of others, tables of connections come along',
  left: 'new maps in place of others, tables of connections have another form and stay behind',
};

/** Maps and programs are made by opening it; that they can be attached is seen on a veth of our own. */
async function tryBpf(
  options: OpenOptions,
  attach: typeof attachTc,
): Promise<{ dataplane: OpenedBpfDataplane; detail: string }> {
  const existed = existsSync(options.directory);
  let dataplane: OpenedBpfDataplane | undefined;
  try {
    dataplane = await openBpfDataplane(options);
    const mode = await tryToAttach(dataplane, options.attach ?? 'auto', attach);
    const { noConntrack, earlierFlows } = dataplane;
    const without = noConntrack === undefined ? '' : `, conntrack is not asked: ${firstLine(noConntrack.message)}`;
    const upgrade = earlierFlows === undefined ? '' : `, ${UPGRADES[earlierFlows]}`;
    return { dataplane, detail: `programs attached by ${mode}${without}${upgrade}` };
  } catch (error) {
    dataplane?.close();
    // What an agent before has left goes on enforcing. What cannot be removed is worth less than why there is no more.
    if (!existed && existsSync(options.directory)) await cleanupBpfDataplane(options.directory).catch(() => {});
    throw explainOldKernel(explainRefusal(error));
  }
}

async function tryToAttach(
  dataplane: OpenedBpfDataplane,
  mode: 'auto' | TcMode,
  attach: typeof attachTc,
): Promise<TcMode> {
  const name = `slvtry${process.pid}`;
  await run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`]);
  try {
    const ifindex = netlink.links().find((link) => link.name === name)?.ifindex ?? 0;
    const program = dataplane.object.program('from_pod');
    using link = attach(program, { ifindex, direction: 'ingress', mode });
    link.detach();
    return link.mode;
  } finally {
    await run('ip', ['link', 'delete', name]);
  }
}

/** A verifier may have said much more. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
