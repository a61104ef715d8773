/** The data plane that the agent was asked for, or the best that works here; what happens to it goes into the log. */
import type { Logger } from 'pino';
import { makeCandidates } from '../dataplane/candidates.ts';
import type { Unprotected } from '../dataplane/contract.ts';
import { type Damage, NFLOG_GROUP } from '../dataplane/ipset/ipset-dataplane.ts';
import { type DataplaneChoice, type Selection, selectDataplane } from '../dataplane/select.ts';
import { briefly } from '../log.ts';
import { BPF_OBJECT } from './options.ts';

export interface DataplaneOptions {
  readonly dataplane: DataplaneChoice;
  readonly setSysctls: boolean;
  /** No when absent. */
  readonly judgeOwnNode?: boolean;
  readonly pinDir: string;
  /** Which verdicts are told of: drops, or new connections that are admitted too (BPF alone tells those). */
  readonly events: EventsChoice;
  /** Events that each CPU tells in a tenth of a second, of each pod, direction and verdict (BPF alone); 0: all. Absent: the programs' own. */
  readonly eventLimit?: number;
}

export type EventsChoice = 'drops' | 'all' | 'none';

/** The data plane, which one it is, and why. */
export type Opened = Pick<Selection, 'dataplane' | 'kind' | 'reason'>;

/** @throws {NoDataplaneError} */
export async function openDataplane(options: DataplaneOptions, log: Logger): Promise<Opened> {
  const { dataplane: choice, setSysctls, judgeOwnNode = false, pinDir, events, eventLimit } = options;
  const candidates = makeCandidates({
    bpf: {
      path: BPF_OBJECT,
      directory: pinDir,
      judgeOwnNode,
      constants: {
        events: { drops: events !== 'none', admitted: events === 'all' },
        ...(eventLimit !== undefined && { eventLimit }),
      },
    },
    ipset: {
      setSysctls,
      judgeOwnNode,
      ...(events !== 'none' && { nflogGroup: NFLOG_GROUP }),
      onDamage: (damage) => tellDamage(damage, log),
      onUnprotected: (unprotected) => tellUnprotected(unprotected, log),
    },
    onBothVariants: (reason) => {
      log.warn({ event: 'both-variants', reason }, 'rules of iptables-nft and of iptables-legacy are in use here');
    },
  });
  const { dataplane, kind, reason } = await selectDataplane({
    choice,
    candidates,
    onRemains: (other, error) => {
      log.error({ event: 'remains', dataplane: other, err: briefly(error) }, `${other} is still in force; tried again`);
      log.debug({ event: 'remains', dataplane: other, err: error }, 'why, in full');
    },
  });
  log.info({ event: 'dataplane', dataplane: kind, reason }, `data plane: ${kind}`);
  return { dataplane, kind, reason };
}

function tellUnprotected(unprotected: readonly Unprotected[], log: Logger): void {
  for (const { reason, pods } of unprotected) log.error({ event: 'unprotected', pods }, reason);
  if (unprotected.length === 0) log.info({ event: 'protected' }, 'all pods are protected again');
}

function tellDamage({ what, error }: Damage, log: Logger): void {
  if (error === undefined) log.warn({ event: 'mended', what }, 'somebody else changed what is ours; written again');
  else log.error({ event: 'damaged', what, err: error }, 'what is ours is not as it was left, and cannot be mended');
}
