/** Flows as they come -> lines of a table whose columns only grow, so that no name is cut. */
import type { Flow, FlowEnd, FlowLine } from '../../api/contract.ts';
import type { VerdictReason } from '../../model/verdict-event.ts';
import { line } from '../columns.ts';
import type { Colours } from '../format-status.ts';

const HEAD = ['TIME', 'VERDICT', 'FROM', 'TO', 'PORT', 'BECAUSE'];

/** Why, where no policy is to be named. */
const WORDS: Readonly<Record<VerdictReason, string>> = {
  'allow-rule': 'a rule admits it',
  'allow-unisolated': 'no policy isolates it',
  'allow-reply': 'a reply',
  'allow-node': 'its own node',
  'allow-self': 'a pod reaches itself',
  'allow-related': 'an error about an admitted flow',
  'drop-policy': 'no rule admits it',
  'drop-pending': 'whose interface this is, is not known yet',
  'drop-source': "not the pod's own address",
  'drop-arp': "ARP for an address that is not the pod's",
  'drop-neighbour': "neighbour discovery for an address that is not the pod's",
  'drop-router': 'a pod is no router',
  'drop-vlan': 'a tagged frame',
  'drop-ethertype': 'neither IP nor ARP',
  'drop-malformed': 'it cannot be read',
  'drop-fragment': 'a fragment whose first one is not known',
  'drop-unrelated': 'an error about no flow of the pod',
  'drop-destination': "not the pod's own address that it is sent to",
};

export class FlowTable {
  readonly #colours: Colours;
  /** Of the columns; they grow with what comes. */
  readonly #widths: number[] = [12, 7, 24, 24, 9];
  readonly #nodes: boolean;
  #begun = false;

  /** @param nodes whether lines come from several nodes, which are named then */
  constructor(colours: Colours, { nodes = false } = {}) {
    this.#colours = colours;
    this.#nodes = nodes;
    if (nodes) this.#widths.splice(1, 0, 8);
  }

  line(one: FlowLine): string {
    const head = this.#begun ? '' : `${line(this.#row(HEAD, 'NODE'), this.#widths)}\n`;
    this.#begun = true;
    if (one.kind === 'lost') return `${head}${this.#colours.yellow(`${one.count} more were left out (${one.why})`)}\n`;
    return `${head}${line(this.#row(this.#cells(one), one.node), this.#widths)}\n`;
  }

  #row([time = '', ...rest]: readonly string[], node: string): string[] {
    return this.#nodes ? [time, node, ...rest] : [time, ...rest];
  }

  #cells(flow: Flow): string[] {
    const { green, red, dim } = this.#colours;
    const verdict = flow.verdict === 'allow' ? green('allowed') : red('denied');
    const times = flow.count > 1 ? dim(` ×${flow.count}`) : '';
    return [
      dim(flow.time.slice(11, 23)),
      verdict,
      endText(flow.from),
      endText(flow.to),
      flow.port === undefined ? flow.protocol : `${flow.port}/${flow.protocol.toLowerCase()}`,
      `${because(flow)}${times}`,
    ];
  }
}

function endText({ pod, service, node, address }: FlowEnd): string {
  if (pod !== undefined) return pod;
  if (service !== undefined) return `service ${service}`;
  return node !== undefined ? `node ${node}` : (address ?? '?');
}

function because(flow: Flow): string {
  const { reason, direction, rule, policies } = flow;
  if (rule !== undefined) return `${rule.policy} ${rule.field}`;
  if (reason === 'drop-policy') return `${direction} isolated by ${policies.join(', ')}`;
  // The table names the pod that it really was; here stands for whom it wanted to be taken.
  const written = reason === 'drop-source' ? flow.from.address : flow.to.address;
  const wrong = (reason === 'drop-source' || reason === 'drop-destination') && written !== undefined;
  return `${direction}: ${WORDS[reason]}${wrong ? `: ${written}` : ''}`;
}
