/** How each engine looks in a plot: by mark and dash in black and white, by colour besides; a family of engines shares its colour. */
import type { EngineName } from '../contract.ts';

export interface Look {
  /** Vega's name of it, or a path in a square from -1 to 1. */
  readonly mark: string;
  readonly filled: boolean;
  /** Lengths of line and gap in pixels; none is a solid line. */
  readonly dash: readonly number[];
  readonly colour: string;
  readonly width: number;
}

const GREY = '#444444';
const BLUE = '#0b5cad';
const ORANGE = '#b35900';
const RED = '#b00020';

const LOOKS: Readonly<Record<EngineName, Look>> = {
  none: { mark: 'circle', filled: false, dash: [], colour: GREY, width: 1.5 },
  empty: { mark: 'circle', filled: true, dash: [2, 3], colour: GREY, width: 1.5 },
  bpf: { mark: 'square', filled: true, dash: [], colour: BLUE, width: 2.5 },
  'ipset-nft': { mark: 'diamond', filled: true, dash: [8, 3], colour: ORANGE, width: 1.75 },
  'ipset-legacy': { mark: 'diamond', filled: false, dash: [8, 3, 2, 3], colour: ORANGE, width: 1.75 },
  'iptables-nft': { mark: 'triangle-up', filled: true, dash: [5, 3], colour: RED, width: 1.75 },
  'iptables-legacy': { mark: 'triangle-down', filled: false, dash: [3, 2], colour: RED, width: 1.75 },
};

/** For engines of other people's clusters, in turn. */
const OTHERS: readonly Look[] = [
  { mark: 'square', filled: true, dash: [], colour: BLUE, width: 2 },
  { mark: 'triangle-up', filled: true, dash: [5, 3], colour: RED, width: 2 },
  { mark: 'diamond', filled: true, dash: [8, 3], colour: ORANGE, width: 2 },
  { mark: 'circle', filled: false, dash: [2, 3], colour: GREY, width: 2 },
  { mark: 'triangle-down', filled: false, dash: [3, 2], colour: '#5b2a86', width: 2 },
  { mark: 'cross', filled: true, dash: [8, 3, 2, 3], colour: '#00695c', width: 2 },
];

/** @param engines all of a report, so that each of them looks its own */
export function looksOf(engines: readonly string[]): ReadonlyMap<string, Look> {
  let next = 0;
  return new Map(
    engines.map((engine) => {
      const known = Object.hasOwn(LOOKS, engine) ? LOOKS[engine as EngineName] : undefined;
      return [engine, known ?? (OTHERS[next++ % OTHERS.length] as Look)];
    }),
  );
}
