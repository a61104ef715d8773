/**
 * Verdicts as they come -> flows for whoever reads them: named at once, repetitions within a second told as one line with
 * their number, the newest kept for those who come later. What is left out is counted and told.
 */
import type { Subscription } from 'rxjs';
import type { Flow, FlowLine, FlowQuery, FlowsLost } from '../../api/contract.ts';
import type { Observation } from '../../dataplane/contract.ts';
import type { VerdictEvent } from '../../model/verdict-event.ts';
import type { NameLookup } from '../name-index.ts';
import { flowLine } from './flow-line.ts';
import { type FlowFilter, flowFilter } from './flow-query.ts';

export interface FlowLogParts {
  readonly node: string;
  readonly names: NameLookup;
  readonly observation: Pick<Observation, 'verdicts' | 'losses'>;
}

/** Lines that are kept for readers who come later. */
const KEPT = 4096;
/** Lines that wait for one reader: a slow one misses some, and holds nobody up. */
const WAITING = 1024;
/** Different flows that are told in a second. */
const TOLD_PER_SECOND = 1000;
const SECOND_MS = 1000;

interface Repeated {
  /** Of the same flow since it was told last. */
  again: number;
  last: VerdictEvent;
}

export class FlowLog {
  readonly #parts: FlowLogParts;
  readonly #kept: FlowLine[] = [];
  readonly #readers = new Set<Reader>();
  #recent = new Map<string, Repeated>();
  #leftOut = 0;
  #lostBefore: number | undefined;
  #subscription: Subscription | undefined;
  #second: NodeJS.Timeout | undefined;

  constructor(parts: FlowLogParts) {
    this.#parts = parts;
  }

  /** From now on flows are kept. */
  start(): void {
    if (this.#subscription !== undefined) return;
    // What was lost before is nobody's of those who read from now on.
    void this.#lost().then((lost) => {
      this.#lostBefore ??= lost;
    });
    this.#subscription = this.#parts.observation.verdicts.subscribe((event) => this.#note(event));
  }

  /** Ends all readers. Idempotent. */
  close(): void {
    this.#subscription?.unsubscribe();
    clearInterval(this.#second);
    for (const reader of this.#readers) reader.end();
  }

  /** Those that are kept and asked for and, to follow, those that come until the signal. @throws {FlowQueryError} */
  open(query: FlowQuery, signal?: AbortSignal): AsyncIterable<FlowLine> {
    const filter = flowFilter(query, Date.now());
    const { since = 0, last } = filter;
    const matching = this.#kept.filter((line) => Date.parse(line.time) >= since && concerns(filter, line));
    const reader = new Reader(filter, last === undefined ? matching : newest(matching, last));
    if (!filter.follow) reader.end();
    else this.#follow(reader, signal);
    return reader.lines();
  }

  #follow(reader: Reader, signal: AbortSignal | undefined): void {
    this.#readers.add(reader);
    const end = () => {
      this.#readers.delete(reader);
      reader.end();
    };
    if (signal?.aborted) end();
    signal?.addEventListener('abort', end, { once: true });
  }

  #note(event: VerdictEvent): void {
    const key = keyOf(event);
    const known = this.#recent.get(key);
    if (known !== undefined) {
      known.again++;
      known.last = event;
      return;
    }
    this.#second ??= setInterval(() => void this.#endSecond(), SECOND_MS).unref();
    if (this.#recent.size >= TOLD_PER_SECOND) {
      this.#leftOut++;
      return;
    }
    this.#recent.set(key, { again: 0, last: event });
    this.#keep(this.#line(event));
  }

  async #endSecond(): Promise<void> {
    const recent = this.#recent;
    this.#recent = new Map();
    for (const [key, { again, last }] of recent) {
      if (again === 0) continue;
      // Named anew: an address may have got another pod since.
      this.#keep({ ...this.#line(last), count: again });
      // It goes on: the next of it is no news for another second.
      this.#recent.set(key, { again: 0, last });
    }
    this.#tellLost('limit', this.#leftOut);
    this.#leftOut = 0;
    const lost = await this.#lost();
    this.#tellLost('kernel', (lost ?? 0) - (this.#lostBefore ?? lost ?? 0));
    this.#lostBefore = lost ?? this.#lostBefore;
    if (recent.size > 0 || this.#recent.size > 0) return;
    clearInterval(this.#second);
    this.#second = undefined;
  }

  async #lost(): Promise<number | undefined> {
    return this.#parts.observation.losses().then(
      ({ event, limited }) => event + limited,
      () => undefined,
    );
  }

  #line(event: VerdictEvent): Flow {
    return flowLine(event, this.#parts, wallTime(event.time));
  }

  /** Losses are kept too: a history that says nothing of its gaps would be taken for whole. */
  #keep(line: FlowLine): void {
    this.#kept.push(line);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const reader of this.#readers) reader.offer(line);
  }

  #tellLost(why: FlowsLost['why'], count: number): void {
    if (count <= 0) return;
    this.#keep({ kind: 'lost', time: new Date().toISOString(), count, why });
  }
}

/** What waits for one reader. */
class Reader {
  readonly #filter: FlowFilter;
  readonly #waiting: FlowLine[];
  #missed = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(filter: FlowFilter, first: readonly FlowLine[]) {
    this.#filter = filter;
    this.#waiting = [...first];
  }

  offer(line: FlowLine): void {
    if (!concerns(this.#filter, line)) return;
    if (this.#waiting.length >= WAITING) this.#missed++;
    else this.#waiting.push(line);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *lines(): AsyncGenerator<FlowLine> {
    while (true) {
      const line = this.#waiting.shift();
      if (line !== undefined) {
        yield line;
      } else if (this.#missed > 0) {
        const count = this.#missed;
        this.#missed = 0;
        yield { kind: 'lost', time: new Date().toISOString(), count, why: 'reader' };
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }
}

/** What was left out may have been anybody's. */
function concerns(filter: FlowFilter, line: FlowLine): boolean {
  return line.kind === 'lost' || filter.matches(line);
}

/** The last `count` flows, and what was lost between them. */
function newest(lines: readonly FlowLine[], count: number): readonly FlowLine[] {
  const flows = lines.flatMap(({ kind }, index) => (kind === 'flow' ? [index] : []));
  if (count === 0) return [];
  return count >= flows.length ? lines : lines.slice(flows.at(-count));
}

/** Source ports apart: attempts of one client at one server are one flow, as long as the same policies and rule decide. */
function keyOf(event: VerdictEvent): string {
  const { source, destination, destinationPort, protocol, ethertype, ifindex, direction, reason, policies } = event;
  const by = `${event.rule?.policy} ${event.rule?.index} ${policies}`;
  return `${ifindex} ${direction} ${reason} ${ethertype} ${protocol} ${source} ${destination} ${destinationPort} ${by}`;
}

/** @param monotonic nanoseconds of CLOCK_MONOTONIC, as `process.hrtime` has */
function wallTime(monotonic: bigint): Date {
  return new Date(Date.now() - Number(process.hrtime.bigint() - monotonic) / 1e6);
}
