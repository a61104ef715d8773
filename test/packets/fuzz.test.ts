/**
 * Random and mutated frames through the loaded programs, by test-run: what the reference's strict parser cannot read is never
 * admitted to or from a pod under policy, and everything else ends as the reference says. SELVEDGE_FUZZ: how many frames.
 */
import fc from 'fast-check';
import type { BpfMap } from 'selvedge-libbpf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Address } from '../../src/model/address.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { TestCluster } from '../support/kernel/cluster.ts';
import { NO_ATTACHMENTS, openTestDataplane, type TestDataplane } from '../support/kernel/dataplanes.ts';
import { clearFlows } from '../support/kernel/flow-entries.ts';
import { TestNamespace } from '../support/kernel/test-namespace.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { type Admitted, Reference, type Wanted } from './reference-verdict.ts';
import { ADMITTED, guarding, NODE, objects, PODS } from './support/cast.ts';
import { CORPUS, mutatedFrame, randomFrame } from './support/mutations.ts';

const DEFAULT_FRAMES = 24_000;
const wanted = process.env.SELVEDGE_FUZZ;
const frames = wanted === undefined ? DEFAULT_FRAMES : Number(wanted);
/** The same frames at each usual run; others at a longer one, whose seed a failure names. */
const seed = wanted === undefined ? { seed: 1 } : {};

/** Frames in a row that share their fragments and connections. */
const LONGEST_ROW = 24;
const CONTINUE = -1;
const SHOT = 2;

const STATES: readonly { readonly name: string; readonly admitted: Admitted }[] = [
  { name: 'policy that admits nothing', admitted: 'nothing' },
  { name: 'policy that admits one port', admitted: { tcp: ADMITTED.tcp } },
  { name: 'policy that admits every protocol', admitted: 'every protocol' },
];

describeAsRoot('fuzz', () => {
  let namespace: TestNamespace;
  let opened: TestDataplane;
  let tables: BpfMap[] = [];
  beforeAll(async () => {
    namespace = new TestNamespace('fuzz', ['guarded', 'ward']);
    opened = await openTestDataplane({
      replace: () => ({ attachments: NO_ATTACHMENTS }),
      constants: { events: { drops: false, admitted: false } },
    });
  });
  afterAll(() => {
    for (const table of tables) table.close();
    opened?.remove();
    namespace?.close();
  });

  async function apply(admitted: Admitted): Promise<void> {
    const ports = typeof admitted === 'string' ? admitted : [{ protocol: 'TCP', port: admitted.tcp } as const];
    const cluster = new TestCluster([...objects(), guarding(ports)]);
    const bindings = (['guarded', 'ward'] as const).map((name, index) => {
      const ifindex = namespace.ifindexes[index] as number;
      const { addresses, linkLocal } = PODS[name];
      const link = { ifindex, name, addresses: Object.values(addresses) as Address[] };
      const pod = `default/${name}` as ObjectKey;
      return [ifindex, { kind: 'endpoint', link, pod, linkLocal: [linkLocal as Address] }] as const;
    });
    await opened.dataplane.apply(
      {
        compiled: cluster.compilerOf(NODE.name).state,
        bindings: new Map(bindings),
        exits: new Map(),
        ownAddresses: cluster.ownAddresses(NODE.name),
        pending: 'closed',
      },
      undefined,
    );
    const { object } = opened.kernel;
    for (const table of tables) table.close();
    const inner = (['flows4', 'flows6'] as const).flatMap((name) => {
      const outer = object.map(name);
      return outer.entries().map(([key]) => outer.getInner(key) as BpfMap);
    });
    tables = inner;
  }

  /** Out of one pod and into the other. */
  function travel(frame: Buffer): 'admit' | 'drop' {
    const [from, to] = namespace.ifindexes as [number, number];
    let mark = 0;
    for (const [hook, ifindex] of [
      ['from_pod', from],
      ['to_pod', to],
    ] as const) {
      const context = { ifindex, ingressIfindex: from, mark };
      const { returnValue, context: after } = opened.kernel.object.program(hook).testRun({ packet: frame, context });
      if (returnValue === SHOT) return 'drop';
      if (returnValue !== CONTINUE) throw new Error(`${hook} returned ${returnValue}`);
      mark = after?.mark ?? 0;
    }
    return 'admit';
  }

  /** Both verdicts on each frame of a row, after everything of before is forgotten. */
  function judgeRow(
    row: readonly Buffer[],
    admitted: Admitted,
  ): { readonly frame: string; wanted: Wanted; got: string }[] {
    for (const table of tables) clearFlows(table);
    const fragments = opened.kernel.object.map('fragments');
    const { count, keys } = fragments.entriesBatch();
    if (count > 0) fragments.deleteBatch(keys, count);
    const reference = new Reference(admitted);
    return namespace.run(() =>
      row.map((frame) => ({
        frame: frame.toString('hex'),
        wanted: reference.judge(Buffer.from(frame)),
        got: travel(frame),
      })),
    );
  }

  function disagreements(row: readonly Buffer[], admitted: Admitted) {
    return judgeRow(row, admitted).filter(({ wanted, got }) => wanted !== got);
  }

  for (const { name, admitted } of STATES) {
    it(`the reference and the programs agree under a ${name}`, { timeout: 600_000 }, async () => {
      await apply(admitted);
      let judged = 0;
      let passed = 0;
      for (const frame of CORPUS) expect(disagreements([frame], admitted)).toEqual([]);
      const row = fc.array(fc.oneof({ weight: 9, arbitrary: mutatedFrame }, { weight: 1, arbitrary: randomFrame }), {
        minLength: 1,
        maxLength: LONGEST_ROW,
        size: 'max',
      });
      const numRuns = Math.ceil(frames / STATES.length / (LONGEST_ROW / 2));
      fc.assert(
        fc.property(row, (sent) => {
          const verdicts = judgeRow(sent, admitted);
          judged += verdicts.length;
          passed += verdicts.filter(({ got }) => got === 'admit').length;
          expect(verdicts.filter(({ wanted, got }) => wanted !== got)).toEqual([]);
        }),
        { numRuns, ...seed },
      );
      expect(judged).toBeGreaterThan((0.8 * frames) / STATES.length);
      // Neither all nor nothing: the frames are worth their while.
      expect(passed / judged).toBeGreaterThan(0.01);
      expect(passed / judged).toBeLessThan(0.99);
    });
  }
});
