/** What the agent does -> its log: what is news, once. */
import type { Logger } from 'pino';
import type { Applied, DesiredState } from '../dataplane/contract.ts';
import type { Warning } from '../model/cluster.ts';
import type { Binding, ExitLink } from '../model/links.ts';
import { type Arrivals, rounded } from './arrivals.ts';

export class AgentLog {
  readonly #log: Logger;
  readonly #arrivals: Arrivals;
  #warnings: ReadonlySet<string> = new Set();
  #bindings: ReadonlyMap<number, string> = new Map();
  #exits: ReadonlyMap<number, string> = new Map();
  #revision: string | undefined;
  #begun = false;

  constructor(log: Logger, arrivals: Arrivals) {
    this.#log = log;
    this.#arrivals = arrivals;
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

  bindings(bindings: ReadonlyMap<number, Binding>): void {
    const told = new Map<number, string>();
    for (const [ifindex, binding] of bindings) {
      const text = textOf(binding);
      told.set(ifindex, text);
      if (this.#bindings.get(ifindex) === text) continue;
      const level = binding.kind === 'pending' && binding.verdict === 'closed' ? 'warn' : 'info';
      const waited = binding.kind === 'endpoint' ? this.#arrivals.waited(binding.pod, ifindex) : {};
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
