/** What the agent does -> its log: what is news, once. */
import type { Logger } from 'pino';
import type { Applied, DesiredState } from '../dataplane/contract.ts';
import { briefly } from '../log.ts';
import type { Warning } from '../model/cluster.ts';
import type { Binding, ExitLink } from '../model/links.ts';
import { type Arrivals, rounded } from './arrivals.ts';
import type { AppliedPolicy } from './policy-times.ts';
import type { Timings } from './timings.ts';

/** Policies that come into force at once and are told one by one; of more only the number. */
const TOLD_MAX = 20;

export class AgentLog {
  readonly #log: Logger;
  readonly #arrivals: Arrivals;
  readonly #timings: Timings;
  #warnings: ReadonlySet<string> = new Set();
  #bindings: ReadonlyMap<number, string> = new Map();
  #exits: ReadonlyMap<number, string> = new Map();
  #revision: string | undefined;
  #begun = false;

  constructor(log: Logger, arrivals: Arrivals, timings: Timings) {
    this.#log = log;
    this.#arrivals = arrivals;
    this.#timings = timings;
  }

  applied(state: DesiredState, { generation, writes, milliseconds }: Applied, revision: string | undefined): void {
    const { endpoints, rulesets, sets } = state.compiled;
    const counts = { pods: endpoints.size, rulesets: rulesets.size, sets: sets.size, interfaces: state.bindings.size };
    const figures = { generation: Number(generation), writes, milliseconds: Math.round(milliseconds * 100) / 100 };
    const news = writes > 0 || revision !== this.#revision || !this.#begun;
    const level = news ? 'info' : 'debug';
    this.#begun = true;
    this.#log[level]({ event: 'applied', revision, ...figures, ...counts }, 'state in force');
    this.#revision = revision;
  }

  /** In a line for a person; the stack is for who debugs. */
  failed(event: string, text: string, error: unknown, fields: Readonly<Record<string, unknown>>): void {
    this.#log.error({ event, ...fields, err: briefly(error) }, text);
    this.#log.debug({ event, ...fields, err: error }, 'why, in full');
  }

  /** New forms of policies that are in force now. @param milliseconds from the oldest event that the state takes in */
  policies(applied: readonly AppliedPolicy[], milliseconds: number): void {
    const took = rounded(milliseconds);
    if (applied.length > TOLD_MAX) {
      this.#log.info({ event: 'policies', policies: applied.length, milliseconds: took }, 'policies in force');
      return;
    }
    for (const { policy, pods } of applied) {
      this.#log.info({ event: 'policy', policy, pods, milliseconds: took }, `policy in force: ${policy}`);
    }
  }

  warnings(warnings: readonly Warning[]): void {
    const texts = new Set<string>();
    for (const { object, field, message, origin } of warnings) {
      const text = `${object} ${field} ${message}`;
      texts.add(text);
      if (this.#warnings.has(text)) continue;
      this.#log.warn({ event: 'object', object, field, origin }, message);
    }
    this.#warnings = texts;
  }

  /** A pod's interface has its programs. @param since when it was seen, of `performance.now()` */
  guarded(link: { readonly ifindex: number; readonly name: string }, since: number): void {
    const { ifindex, name } = link;
    const milliseconds = rounded(performance.now() - since);
    this.#log.info({ event: 'guarded', ifindex, name, milliseconds }, 'interface guarded');
  }

  /** Its programs had been taken off. */
  mended({ name }: { readonly name: string }): void {
    this.#log.warn(
      { event: 'mended', what: [`the programs of ${name}`] },
      'somebody else changed what is ours; written again',
    );
  }

  bindings(bindings: ReadonlyMap<number, Binding>): void {
    const told = new Map<number, string>();
    for (const [ifindex, binding] of bindings) {
      const text = textOf(binding);
      told.set(ifindex, text);
      if (this.#bindings.get(ifindex) === text) continue;
      const level = binding.kind === 'pending' && binding.verdict === 'closed' ? 'warn' : 'info';
      const waited = binding.kind === 'endpoint' ? this.#arrivals.waited(binding.pod, ifindex) : {};
      if (waited.sinceRecord !== undefined) this.#timings.next({ what: 'pod', milliseconds: waited.sinceRecord });
      this.#log[level]({ event: 'interface', ifindex, name: binding.link.name, ...waited }, text);
    }
    this.#bindings = told;
  }

  /** What pods' packets leave the node by: a veth among these that is a pod's is not protected. */
  exits(exits: ReadonlyMap<number, ExitLink>): void {
    const told = new Map<number, string>();
    for (const { ifindex, name, network } of exits.values()) {
      const text = `a way out of the node${network === undefined ? '' : `: no pod's, for it holds ${network}`}`;
      told.set(ifindex, text);
      if (this.#exits.get(ifindex) !== text) this.#log.info({ event: 'interface', ifindex, name }, text);
    }
    this.#exits = told;
  }

  /** Whatever is said of these next is news: their indexes are other interfaces' now. */
  forget(ifindexes: Iterable<number>): void {
    const gone = new Set(ifindexes);
    this.#bindings = new Map([...this.#bindings].filter(([ifindex]) => !gone.has(ifindex)));
    this.#exits = new Map([...this.#exits].filter(([ifindex]) => !gone.has(ifindex)));
  }
}

function textOf(binding: Binding): string {
  return binding.kind === 'endpoint' ? `enforced for ${binding.pod}` : `${binding.verdict}: ${binding.reason}`;
}
