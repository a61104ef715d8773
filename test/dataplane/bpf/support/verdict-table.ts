/** Every verdict of a small world as one text: as the maps give them, and as the compiled state does. */

import { COPIED_MAPS } from '../../../../src/dataplane/bpf/abi.ts';
import { RuleNumbers } from '../../../../src/dataplane/bpf/rule-numbers.ts';
import type { DesiredState } from '../../../../src/dataplane/contract.ts';
import type { Address } from '../../../../src/model/address.ts';
import type { ObjectKey } from '../../../../src/model/cluster.ts';
import { type DirectionVerdict, verdictOf } from '../../../../src/model/verdict.ts';
import type { FakeKernel } from './fake-kernel.ts';
import { MapReader, type MapVerdict } from './map-reader.ts';
import { OTHER_ADDRESSES, POD_ADDRESSES, PORTS } from './random-states.ts';

const INTERFACES = [10, 11, 12, 70_000];
const ADDRESSES = [...POD_ADDRESSES, ...OTHER_ADDRESSES];
const PROTOCOLS = [
  ['TCP', 6],
  ['UDP', 17],
  ['other', 1],
] as const;

interface Question {
  readonly ifindex: number;
  readonly direction: 'ingress' | 'egress';
  readonly peer: Address;
}

const QUESTIONS: readonly Question[] = INTERFACES.flatMap((ifindex) =>
  (['ingress', 'egress'] as const).flatMap((direction) => ADDRESSES.map((peer) => ({ ifindex, direction, peer }))),
);

const ALL_PORTS = PROTOCOLS.flatMap(([name, protocol]) => PORTS.map((port) => ({ name, protocol, port })));

/** The other end is asked about on its own; it is no endpoint here, not even this one itself. */
const NOBODY = 'nobody' as ObjectKey;

/** Reads verdicts from a kernel's maps, anew when a map of the copy in force or the generation has changed. */
export class VerdictTable {
  readonly #kernel: FakeKernel;
  #known: { readonly version: string; readonly text: string } | undefined;

  constructor(kernel: FakeKernel) {
    this.#kernel = kernel;
  }

  read(): string {
    const versions = COPIED_MAPS.map((name) => this.#kernel.map(name, this.#kernel.inForce).version);
    const version = `${this.#kernel.generation.load()} ${versions}`;
    if (this.#known?.version !== version) this.#known = { version, text: textOf(this.#kernel) };
    return this.#known.text;
  }

  /** What the copy that is not in force would say if it were. */
  readOther(): string {
    const inForce = this.#kernel.inForce;
    const other = Object.create(this.#kernel, { inForce: { value: 1 - inForce } }) as FakeKernel;
    const map = this.#kernel.map.bind(this.#kernel);
    Object.defineProperty(other, 'map', { value: map });
    return textOf(other);
  }
}

function textOf(kernel: FakeKernel): string {
  const reader = new MapReader(kernel);
  return QUESTIONS.map(({ ifindex, direction, peer }) => {
    const packet = { source: peer, destination: peer, ports: ALL_PORTS };
    const verdict = reader.judge(direction === 'ingress' ? { ...packet, to: ifindex } : { ...packet, from: ifindex });
    return verdict.pending ?? verdict[direction]?.map(textOfVerdict).join('');
  }).join(' ');
}

function textOfVerdict(verdict: MapVerdict): string {
  return verdict.allowed ? `+${verdict.rule || ''}` : '!';
}

/** The same text from the compiled state. */
export function expectedVerdicts(state: DesiredState): string {
  const numbers = new RuleNumbers();
  return QUESTIONS.map(({ ifindex, direction, peer }) => {
    const binding = state.bindings.get(ifindex);
    if (binding === undefined) return state.pending;
    if (binding.kind === 'pending') return binding.verdict;
    const { compiled, ownAddresses } = state;
    const own = compiled.endpoints.get(binding.pod)?.addresses[0] ?? peer;
    const ends =
      direction === 'ingress'
        ? { source: peer, destination: own, destinationPod: binding.pod, sourcePod: NOBODY }
        : { source: own, destination: peer, sourcePod: binding.pod, destinationPod: NOBODY };
    return ALL_PORTS.map(({ name: protocol, port }) => {
      const verdict = verdictOf(compiled, { ...ends, protocol, port, ownAddresses });
      return textOfDirection(verdict[direction], numbers);
    }).join('');
  }).join(' ');
}

function textOfDirection(verdict: DirectionVerdict | undefined, numbers: RuleNumbers): string {
  if (verdict === undefined) return '-';
  if (!verdict.allowed) return '!';
  return verdict.by === undefined ? '+' : `+${numbers.take(verdict.by)}`;
}
