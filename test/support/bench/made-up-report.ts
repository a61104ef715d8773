/** A full run's report with figures that nobody measured, for tests of what is drawn and told: plausible, always the same. */
import type { BenchReport, Cell, EngineName, Sample } from '../../../src/bench/compare/contract.ts';
import { figuresOf } from '../../../src/bench/compare/figures.ts';
import { goalsOf } from '../../../src/bench/compare/goals.ts';
import { planGrid, type Step } from '../../../src/bench/compare/grid.ts';
import { Samples } from '../../../src/bench/compare/rounds.ts';

const ROUNDS = 5;

export function madeUpReport({ quick = false }: { readonly quick?: boolean } = {}): BenchReport {
  const random = randomFrom(7);
  const noise = (size: number) => 1 + size * (random() + random() - 1);
  const samples = new Samples();
  for (const { policies, steps, loadings } of planGrid({ quick }).stages) {
    for (const step of steps) {
      for (const engine of step.engines) {
        const cell: Cell = { engine, topology: step.topology, traffic: step.traffic, policies };
        for (let round = 0; round < ROUNDS; round++) samples.add(cell, sampleOf(step, cell, noise), round);
      }
    }
    for (const engine of ['bpf', 'ipset-nft', 'ipset-legacy', 'iptables-nft', 'iptables-legacy'] as const) {
      if (policies === 0) continue;
      const cell: Cell = { engine, topology: 'one-node', traffic: 'allowed', policies };
      for (let round = 0; round < loadings; round++) {
        samples.add(cell, { 'load-time': (20 + policies * 0.3) * noise(0.1) }, round);
      }
      const agent = engine.startsWith('iptables') ? {} : { 'agent-memory': 110 + policies / 100 };
      samples.add(cell, { 'kernel-memory': 1 + policies / 500, ...agent }, 0);
    }
  }
  const figures = figuresOf(samples.series);
  return {
    version: 1,
    machine: {
      processor: 'Made-up Processor 3000',
      cores: 4,
      memory: 24 * 2 ** 30,
      kernel: '6.18.0-made-up',
      load: [0.2, 3.1],
    },
    started: '2026-11-21T09:00:00.000Z',
    seconds: quick ? 104 : 2_162,
    rounds: ROUNDS,
    quick,
    figures,
    goals: goalsOf(figures),
    left: ['iptables-legacy, 10,000 policies, denied, one-node: a flood that is dropped: <made up> & nothing else'],
  };
}

type Noise = (size: number) => number;

function sampleOf({ load }: Step, cell: Cell, noise: Noise): Sample {
  const far = cell.topology === 'two-nodes' ? 1.8 : 1;
  switch (load) {
    case 'latency': {
      const median = 21 * far * openFactor(cell.engine) * noise(0.02);
      return { 'latency-p50': median, 'latency-p99': median * 1.7 * noise(0.1) };
    }
    case 'busy':
      return { 'busy-latency-p50': 22.6 * far * noise(0.03) };
    case 'connect': {
      const median = 58 * far * connectFactor(cell) * noise(0.02);
      return {
        'connect-p50': median,
        'connect-p99': median * 1.6 * noise(0.1),
        'connect-rate': 1e6 / (median * 1.03),
        'connection-cpu': median * 1.4 * noise(0.03),
      };
    }
    case 'stream':
      return { 'stream-rate': (24 / far / openFactor(cell.engine)) * noise(0.03) };
    case 'streams':
      return { 'streams-rate': (41 / far / openFactor(cell.engine)) * noise(0.05) };
    case 'udp':
      return {
        'udp-rate': (310_000 / far / openFactor(cell.engine)) * noise(0.03),
        'packet-cpu': 4_900 * far * openFactor(cell.engine) * noise(0.03),
      };
    case 'flood':
      return {
        'drop-cpu': 950 * connectFactor(cell) * noise(0.03),
        'drop-rate': (1.25e6 / connectFactor(cell)) * noise(0.03),
      };
    case 'policy-time': {
      const median = (cell.engine === 'bpf' ? 1.4 : 21 + cell.policies / 100) * noise(0.1);
      return { 'policy-time': median, 'policy-time-p99': median * 2.2 * noise(0.2) };
    }
    case 'pod-time':
      return { 'pod-time': (cell.engine === 'bpf' ? 1.1 : 14) * noise(0.1) };
  }
}

function openFactor(engine: EngineName): number {
  return { none: 1, empty: 1.01, bpf: 1.03, 'ipset-nft': 1.19, 'ipset-legacy': 1.16 }[engine as 'none'] ?? 1.18;
}

function connectFactor({ engine, policies }: Cell): number {
  if (engine === 'iptables-nft') return 1.2 + policies * 0.0162;
  if (engine === 'iptables-legacy') return 1.18 + policies * 0.0111;
  return { none: 1, empty: 1.01, bpf: 1.055, 'ipset-nft': 1.34, 'ipset-legacy': 1.27 }[engine];
}

/** Numbers from 0 to 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
