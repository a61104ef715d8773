/** `selvedge agent --dry-run`: one state, and what it would take to put it in force, for a person to read. */
import { EOL } from 'node:os';
import type { Logger } from 'pino';
import { Agent, type AgentParts } from '../agent.ts';
import { DryRun, type DryRunReport, type RulesetDifference } from '../dataplane/bpf/dry-run.ts';
import { IpsetDryRun, type IpsetDryRunReport, type PlaceDifference } from '../dataplane/ipset/dry-run.ts';
import { NFLOG_GROUP } from '../dataplane/ipset/ipset-dataplane.ts';
import type { DataplaneChoice } from '../dataplane/select.ts';
import { explainRefusal } from '../privilege.ts';
import type { EventsChoice } from './open-dataplane.ts';
import { BPF_OBJECT } from './options.ts';
import { writeOutput } from './output.ts';

export interface DryRunOptions extends Omit<AgentParts, 'dataplane'> {
  readonly pinDir: string;
  /** `auto` stands for BPF: what works here is found out by doing, and nothing is done. */
  readonly dataplane: DataplaneChoice;
  readonly setSysctls: boolean;
  readonly judgeOwnNode: boolean;
  readonly events: EventsChoice;
  readonly log: Logger;
}

/** Resolves once the state is told, or the signal is given. */
export async function dryRun(options: DryRunOptions, signal: AbortSignal): Promise<void> {
  const { pinDir, dataplane: choice, setSysctls, judgeOwnNode, events, ...parts } = options;
  // That a state is in force, and the like, is not so.
  parts.log.level = 'warn';
  const nflog = events === 'none' ? {} : { nflogGroup: NFLOG_GROUP };
  const dataplane =
    choice === 'ipset'
      ? await IpsetDryRun.open({ setSysctls, judgeOwnNode, ...nflog })
      : openBpfDryRun({ directory: pinDir, judgeOwnNode });
  const agent = new Agent({ ...parts, dataplane });
  const stopped = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
  await agent.start();
  try {
    const report = await Promise.race([dataplane.report, stopped]);
    if (report !== undefined) await writeOutput(['places' in report ? ipsetText(report) : dryRunText(report)]);
  } finally {
    await agent.close();
  }
}

/** @throws {PrivilegeError} */
function openBpfDryRun(options: { readonly directory: string; readonly judgeOwnNode: boolean }): DryRun {
  try {
    return new DryRun({ path: BPF_OBJECT, ...options });
  } catch (error) {
    throw explainRefusal(error);
  }
}

export function ipsetText({ variant, reason, inForce, places, unprotected }: IpsetDryRunReport): string {
  const families = inForce.map((family) => `IPv${family}`).join(' and ');
  const lines = [
    `iptables-${variant}: ${reason}`,
    families === '' ? 'nothing is in force that could be taken over' : `in force: rules for ${families}`,
    ...unprotected.map((one) => `not protected: ${one.pods.join(', ')}: ${one.reason}`),
    ...places.map((place) => `${place.place}: ${amounts(place)}`),
  ];
  if (places.length === 0) lines.push('nothing would be other than it is');
  return lines.map((line) => `${line}${EOL}`).join('');
}

function amounts({ whole, added, changed, removed }: PlaceDifference): string {
  if (whole !== undefined) return whole === 'goes' ? 'to remove' : `to make, ${whole.comes}`;
  return `${added} to add, ${changed} to change, ${removed} to remove`;
}

export function dryRunText(report: DryRunReport): string {
  const { generation, maps, programs, interfaces, rulesets } = report;
  const lines = [
    generation === 0 ? 'nothing is in force that could be taken over' : `in force: state ${generation}`,
    ...programs.flatMap(({ step, links }) =>
      links.map(({ ifindex, name, role }) => `${step} programs: ${name ?? 'gone'} (${ifindex}), ${role}`),
    ),
    ...interfaces.map(({ ifindex, name, text }) => `interface ${name ?? 'gone'} (${ifindex}): ${text}`),
    ...[...Map.groupBy(rulesets, rulesetName)].map(([name, them]) => `rows of ${name}: ${counts(sum(them))}`),
    ...maps.map((map) => `map ${map.name}: ${counts(map)}`),
  ];
  if (lines.length === 1) lines.push('nothing would be written');
  return lines.map((line) => `${line}${EOL}`).join('');
}

/** A ruleset is known by the interfaces that have it: rows without a name are of pods that have none here, any more or yet. */
function rulesetName({ direction, policies, sets }: RulesetDifference): string {
  if (policies.length > 0) return `${policies.join(', ')} (${direction})`;
  return sets > 0 ? 'pods whose interface is not here yet' : 'policies that are gone';
}

function sum(rulesets: readonly RulesetDifference[]): Amounts {
  return rulesets.reduce(
    (all, { sets, deletions }) => ({ sets: all.sets + sets, deletions: all.deletions + deletions }),
    {
      sets: 0,
      deletions: 0,
    },
  );
}

interface Amounts {
  readonly sets: number;
  readonly deletions: number;
}

function counts({ sets, deletions }: Amounts): string {
  return `${sets} to set, ${deletions} to delete`;
}
