/** The thread of flood.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { BpfProgram, netns } from '../../../src/native.ts';
import type { FloodTask } from './flood.ts';

/** Packets between two looks at whether it is over. */
const REPEAT = 10_000;

const { namespace, programId, packet, context, stop } = workerData as FloodTask;
const stopped = new Int32Array(stop);
let packets = 0;

netns.run(namespace, () => {
  const program = BpfProgram.fromId(programId);
  parentPort?.postMessage('begun');
  const [mark, ports, , place, unused] = context.cb;
  while (Atomics.load(stopped, 0) === 0) {
    const cb = [mark, ports, packets % 65_536, place, unused] as const;
    program.testRun({ packet, repeat: REPEAT, context: { ...context, cb } });
    packets += REPEAT;
  }
  program.close();
});
parentPort?.postMessage(packets);
