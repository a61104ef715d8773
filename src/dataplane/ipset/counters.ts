/** Counters of our rules -> how often each rule of a policy admitted and each set of policies dropped, since the data plane was opened. */
import type { Direction, ObjectKey } from '../../model/cluster.ts';
import type { RuleRef } from '../../model/compiled.ts';
import type { ChainRule } from './ruleset-chain.ts';

export interface PacketCount {
  readonly packets: bigint;
  readonly bytes: bigint;
}

export type RuleCount = PacketCount & Counted;

export type Counted =
  | { readonly verdict: 'allow'; readonly rule: RuleRef }
  /** Of those that were dropped, copied to the log. */
  | { readonly verdict: 'told' }
  /** Dropped because these policies isolate and no rule of theirs admits. */
  | { readonly verdict: 'deny'; readonly direction: Direction; readonly policies: readonly ObjectKey[] };

/** Each rule of each chain, in order, as `iptables-save -c` prints them. */
export function parseCounters(text: string): ReadonlyMap<string, readonly PacketCount[]> {
  const chains = new Map<string, PacketCount[]>();
  for (const [, packets = '', bytes = '', chain = ''] of text.matchAll(/^\[(\d+):(\d+)\] -A (\S+) /gm)) {
    const counts = chains.get(chain) ?? [];
    counts.push({ packets: BigInt(packets), bytes: BigInt(bytes) });
    chains.set(chain, counts);
  }
  return chains;
}

/** The rules of one chain, as `iptables -v -S` prints them. */
export function parseChainCounters(text: string): readonly PacketCount[] {
  return [...text.matchAll(/^-A .*? -c (\d+) (\d+)/gm)].map(([, packets = '', bytes = '']) => {
    return { packets: BigInt(packets), bytes: BigInt(bytes) };
  });
}

/** Sums by what is counted; sums of sums are sums. */
export class CountSums {
  readonly #sums = new Map<string, RuleCount>();

  add(rules: readonly ChainRule[], counts: readonly PacketCount[]): void {
    // Somebody wrote into the chain: whose count is whose is not known.
    if (rules.length !== counts.length) return;
    for (const [index, { counts: what }] of rules.entries()) {
      if (what !== undefined) this.#addOne(what, counts[index] as PacketCount);
    }
  }

  addAll(counts: Iterable<RuleCount>): void {
    for (const count of counts) this.#addOne(count, count);
  }

  values(): RuleCount[] {
    return [...this.#sums.values()];
  }

  #addOne(what: Counted, { packets, bytes }: PacketCount): void {
    const key = keyOf(what);
    const known = this.#sums.get(key) ?? { packets: 0n, bytes: 0n };
    this.#sums.set(key, { ...what, packets: known.packets + packets, bytes: known.bytes + bytes });
  }
}

function keyOf(what: Counted): string {
  if (what.verdict === 'told') return what.verdict;
  return JSON.stringify(what.verdict === 'allow' ? what.rule : [what.direction, what.policies]);
}

/** Drops that no event told of; what was told is in both counts. */
export function untoldOf(counts: readonly RuleCount[]): bigint {
  let untold = 0n;
  for (const { verdict, packets } of counts) {
    if (verdict !== 'allow') untold += verdict === 'deny' ? packets : -packets;
  }
  return untold < 0n ? 0n : untold;
}
