/** What the agent says of itself -> what a person reads: what is wrong first, then what is enforced, then how full it is. */
import type { PolicyStatus, Status } from '../api/contract.ts';
import type { Warning } from '../model/cluster.ts';
import { columns } from './columns.ts';

export interface Colours {
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly red: (text: string) => string;
  readonly dim: (text: string) => string;
}

/** Maps that are told of one by one: from this part of their room on. */
const NEARLY_FULL = 0.8;

export function formatStatus(status: Status, { green, yellow, red, dim }: Colours): string {
  const { dataplane, interfaces, pods, sources, policies, lastUpdate, losses } = status;
  const head = [
    ['node', status.node],
    ['state', status.ready ? green('ready') : red('not ready')],
    ...status.faults.map((fault) => ['', red(fault)]),
    ['data plane', `${dataplane.kind} ${dim(`(${dataplane.reason})`)}`],
    ['source', sourceText(sources, yellow)],
    ['pods', `${pods.known} on this node, ${pods.isolated} under a policy`],
    ['interfaces', `${interfaces.enforced} enforced, ${interfaces.pending.length} pending`],
    ...interfaces.pending.map(({ name, verdict, reason }) => ['', yellow(`${name} is ${verdict}: ${reason}`)]),
    ['last update', lastUpdate === undefined ? yellow('none yet') : updateText(lastUpdate)],
    ['fullest map', fullest(status)],
    ['left out', lossText(losses)],
    ['agent', `${status.version}, since ${status.startedAt}`],
  ];
  const parts = [columns(head)];
  if (policies.length > 0) {
    const rows = policies.map(({ policy, policyTypes, selects }) => [policy, policyTypes.join(', '), String(selects)]);
    parts.push(columns([['POLICY', 'TYPES', 'PODS HERE'], ...rows]));
  }
  if (status.warnings.length > 0) parts.push(warningText(status.warnings, yellow));
  return parts.join('\n');
}

export function formatPolicy(status: PolicyStatus, { green, yellow }: Colours): string {
  const { policy, policyTypes, selects, pods, warnings } = status;
  const parts = [
    `${policy} (${policyTypes.join(', ')}) selects ${selects} ${selects === 1 ? 'pod' : 'pods'} of this node\n`,
  ];
  if (pods.length > 0) {
    const rows = pods.map(({ pod, state, since }) => [
      pod,
      state === 'enforced' ? green(state) : yellow(state),
      since ?? '',
    ]);
    parts.push(columns([['POD', 'STATE', 'SINCE'], ...rows]));
  }
  if (warnings.length > 0) parts.push(warningText(warnings, yellow));
  return parts.join('\n');
}

function sourceText({ kind, synced, lagSeconds }: Status['sources'], yellow: (text: string) => string): string {
  const heard = lagSeconds === undefined ? '' : `, heard ${lagSeconds} s ago`;
  return `${kind}, ${synced ? 'synced' : yellow('not synced')}${heard}`;
}

function updateText({ at, generation, writes, milliseconds }: NonNullable<Status['lastUpdate']>): string {
  return `${at}, generation ${generation}, ${writes} writes, in force after ${milliseconds} ms`;
}

function fullest({ maps }: Status): string {
  const byPart = maps
    .filter(({ capacity }) => capacity > 1)
    .sort((a, b) => b.entries / b.capacity - a.entries / a.capacity);
  const told = byPart.filter(({ entries, capacity }, index) => index === 0 || entries / capacity >= NEARLY_FULL);
  if (told.length === 0) return 'none';
  return told.map(({ name, entries, capacity }) => `${name} ${entries} of ${capacity}`).join(', ');
}

function lossText(losses: Status['losses']): string {
  const told = Object.entries(losses).filter(([, count]) => count > 0);
  return told.length === 0 ? 'nothing' : told.map(([what, count]) => `${count} of ${what}`).join(', ');
}

function warningText(warnings: readonly Warning[], yellow: (text: string) => string): string {
  return warnings
    .map(({ object, field, message }) => `${yellow('warning')}: ${[object, field].join(' ').trim()}: ${message}\n`)
    .join('');
}
