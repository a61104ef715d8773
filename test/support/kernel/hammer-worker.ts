/** The thread of hammer.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { BpfProgram, netns } from '../../../src/native.ts';
import type { HammerTask } from './hammer.ts';

const CONTINUE = -1;
/** Rounds between two looks at whether it is over. */
const ROUNDS = 20;

const { namespace, steps, stop } = workerData as HammerTask;
const stopped = new Int32Array(stop);
const counts = steps.map(() => ({ passed: 0, dropped: 0 }));
let runs = 0;

netns.run(namespace, () => {
  const programs = new Map(steps.map(({ programId }) => [programId, BpfProgram.fromId(programId)]));
  parentPort?.postMessage('begun');
  while (Atomics.load(stopped, 0) === 0) {
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, { programId, packet, ifindex, ingressIfindex, mark }] of steps.entries()) {
        const program = programs.get(programId) as BpfProgram;
        const { returnValue } = program.testRun({ packet, context: { ifindex, ingressIfindex, mark } });
        const count = counts[index] as { passed: number; dropped: number };
        if (returnValue === CONTINUE) count.passed++;
        else count.dropped++;
      }
    }
    runs += ROUNDS * steps.length;
  }
  for (const program of programs.values()) program.close();
});
parentPort?.postMessage({ runs, counts });
