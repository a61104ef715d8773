/** Bindings and endpoints -> what every pod's interface may send, put in force around the flip of the rulesets. */
import type { Address } from '../../model/address.ts';
import type { Difference } from '../../model/observation.ts';
import type { DesiredState } from '../contract.ts';
import {
  countRules,
  GUARD_TABLE,
  type GuardedLink,
  guardChange,
  guardElements,
  guardRuleCounts,
  guardText,
} from './guard-text.ts';
import type { Programs } from './programs.ts';
import type { Compared } from './verify.ts';

export class PortGuard {
  readonly #programs: Programs;
  readonly #nflogGroup: number | undefined;
  /** Absent: not known what is there. */
  #inForce: { readonly links: readonly GuardedLink[]; readonly text: string } | undefined;

  constructor(programs: Programs, nflogGroup?: number) {
    this.#programs = programs;
    this.#nflogGroup = nflogGroup;
  }

  /**
   * To be run before the flip: what both the old state and the new one allow. An address that moves from one interface to
   * another is nobody's for that moment, since its packets would be judged as of the wrong pod; what was closed, or strict,
   * stays so until there is a ruleset for it, or none any more.
   */
  async prepare(wanted: readonly GuardedLink[]): Promise<number> {
    const before = this.#inForce?.links;
    if (before === undefined) return this.#put(wanted);
    const holders = new Map(before.flatMap(({ name, addresses }) => addresses.map((address) => [address, name])));
    const mayHold = (name: string) => (address: Address) => (holders.get(address) ?? name) === name;
    const known = new Map(before.map((link) => [link.name, link]));
    const both = wanted.map((link) => {
      const old = known.get(link.name);
      if (old?.kind === 'closed') return old;
      const kind = old?.kind === 'strict' && link.kind === 'endpoint' ? 'strict' : link.kind;
      return { ...link, kind, addresses: link.addresses.filter(mayHold(link.name)) };
    });
    const names = new Set(wanted.map(({ name }) => name));
    return this.#put([...both, ...before.filter(({ name }) => !names.has(name))]);
  }

  /** After the flip. */
  finish(wanted: readonly GuardedLink[]): Promise<number> {
    return this.#put(wanted);
  }

  /** Nothing passes an interface of which nothing is known; at once, beside what is in force. */
  async close(link: Pick<GuardedLink, 'name' | 'bridged'>): Promise<void> {
    if (this.#inForce === undefined || this.#inForce.links.some(({ name }) => name === link.name)) return;
    await this.#put([...this.#inForce.links, { ...link, kind: 'closed', addresses: [] }]);
  }

  /** Tables that are not there, or with other rules than ours. */
  async damages(): Promise<string[]> {
    if (this.#inForce === undefined) return [];
    const wanted = guardRuleCounts(this.#inForce.links);
    const damages: string[] = [];
    for (const family of ['bridge', 'inet'] as const) {
      const listed = await this.#programs.listTable(family, GUARD_TABLE);
      if (countRules(listed) !== wanted[family]) damages.push(`nftables' table ${family} ${GUARD_TABLE}`);
    }
    return damages;
  }

  /** Who may send from where, and how many rules there are. */
  async verify(links: readonly GuardedLink[]): Promise<Compared> {
    const counts = guardRuleCounts(links);
    const wanted = guardElements(guardText(links));
    const differences: Difference[] = [];
    for (const family of ['bridge', 'inet'] as const) {
      const place = `nftables' table ${family} ${GUARD_TABLE}`;
      const listed = await this.#programs.listTable(family, GUARD_TABLE);
      const rules = countRules(listed);
      if (rules !== counts[family]) {
        differences.push({ place, key: 'rules', wanted: `${counts[family]}`, found: `${rules}` });
      }
      const found = guardElements(listed);
      for (const element of wanted) {
        if (element.startsWith(`${family} `) && !found.has(element))
          differences.push({ place, key: element, wanted: 'member' });
      }
      for (const element of found) if (!wanted.has(element)) differences.push({ place, key: element, found: 'member' });
    }
    return { compared: wanted.size + counts.bridge + counts.inet, differences };
  }

  forget(): void {
    this.#inForce = undefined;
  }

  /** @returns transactions that it took */
  async #put(links: readonly GuardedLink[]): Promise<number> {
    const text = guardText(links, this.#nflogGroup);
    const before = this.#inForce?.text;
    if (text === before) return 0;
    this.#inForce = undefined;
    await this.#programs.nft((before !== undefined && guardChange(before, text)) || text);
    this.#inForce = { links, text };
    return 1;
  }
}

/** `bridged`: names of interfaces that are ports of a bridge. */
export function guardedLinks(
  { bindings, compiled }: DesiredState,
  bridged: ReadonlySet<string>,
): readonly GuardedLink[] {
  return [...bindings.values()].flatMap((binding): GuardedLink[] => {
    const { name } = binding.link;
    const base = { name, bridged: bridged.has(name) };
    if (binding.kind === 'pending') {
      return binding.verdict === 'closed' ? [{ ...base, kind: 'closed', addresses: [] }] : [];
    }
    const endpoint = compiled.endpoints.get(binding.pod);
    if (endpoint === undefined) return [];
    const addresses = [...endpoint.addresses, ...binding.linkLocal];
    return [{ ...base, kind: endpoint.ingress === undefined ? 'endpoint' : 'strict', addresses }];
  });
}
