import { Subject } from 'rxjs';
import { expect, it } from 'vitest';
import type { Enforcer } from '../../src/lab/agents/enforcer.ts';
import type { Lab } from '../../src/lab/lab.ts';
import type { LabError } from '../../src/lab/lab-error.ts';
import { runLiveLab } from '../../src/lab/live-lab.ts';
import { labOf } from '../../src/lab/network/names.ts';
import { listNamespaces } from '../../src/lab/network/network.ts';
import { probeMatrix } from '../../src/lab/probing/probe-matrix.ts';
import { type ClusterChange, type ClusterObject, keyOf } from '../../src/model/cluster.ts';
import type { Matrix } from '../../src/observe/matrix.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { node, pod, tcp } from './small-cluster.ts';

/** Enforces nothing; settles when it is told to. */
class Recorder implements Enforcer {
  readonly settles = new Subject<string>();
  readonly waits = new Subject<string>();
  nodes: readonly string[] = [];
  stopped = false;

  async follow(nodes: readonly { node: string }[]): Promise<void> {
    this.nodes = nodes.map((one) => one.node);
  }

  settled(revision: string | undefined, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason));
      this.settles.subscribe((name) => name === revision && resolve());
      this.waits.next(revision ?? '');
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
  }
}

function change(revision: string, ...objects: readonly ClusterObject[]): ClusterChange {
  return { events: objects.map((object) => ({ type: 'upsert', object })), warnings: [], synced: true, revision };
}

interface Running {
  readonly source: Subject<ClusterChange>;
  readonly recorder: Recorder;
  readonly problems: LabError[];
  /** The next matrix. */
  readonly matrix: () => Promise<Matrix>;
  readonly stop: () => Promise<void>;
}

function follow(): Running {
  const source = new Subject<ClusterChange>();
  const recorder = new Recorder();
  const matrices = new Subject<Matrix>();
  const problems: LabError[] = [];
  const controller = new AbortController();
  let lab: Lab | undefined;
  const options = {
    source,
    backend: 'vxlan' as const,
    enforcer: (started: Lab) => {
      lab = started;
      return recorder;
    },
    onSettled: async (settled: Lab) => matrices.next(await probeMatrix(settled)),
    onProblem: (problem: LabError) => void problems.push(problem),
  };
  const ended = runLiveLab(options, controller.signal);
  return {
    source,
    recorder,
    problems,
    matrix: () => new Promise((resolve) => matrices.subscribe(resolve)),
    stop: async () => {
      controller.abort();
      await ended;
      expect(listNamespaces().filter((name) => labOf(name) === lab?.id)).toEqual([]);
      expect(recorder.stopped).toBe(true);
    },
  };
}

const web = pod('web', 1, 5, { ports: [tcp(80)] });

describeAsRoot('a lab that follows manifests', () => {
  it('shows each state once it is in place and enforced, and ends without a trace', async () => {
    const { source, recorder, matrix, stop } = follow();
    recorder.waits.subscribe((revision) => recorder.settles.next(revision));
    const first = matrix();
    source.next(change('one', node(1), web));
    expect((await first).rows).toEqual(['shop/web', 'outside']);
    const second = matrix();
    source.next(change('two', node(2), pod('api', 2, 6)));
    expect(await second).toMatchObject({
      rows: ['shop/api', 'shop/web', 'outside'],
      columns: [{ pod: 'shop/web', port: 80, protocol: 'TCP' }],
      cells: [[{ 4: { verdict: 'allow' }, 6: { verdict: 'allow' } }], ['self'], [{ 4: { verdict: 'allow' } }]],
    });
    expect(recorder.nodes).toEqual(['node1', 'node2']);
    await stop();
  });

  it('gives up waiting for a state that another has followed', async () => {
    const { source, recorder, problems, matrix, stop } = follow();
    const waiting = new Promise((resolve) => recorder.waits.subscribe(resolve));
    source.next(change('never', node(1), web));
    await waiting;
    recorder.waits.subscribe((revision) => recorder.settles.next(revision === 'never' ? '' : revision));
    const next = matrix();
    source.next(change('next', pod('api', 1, 6)));
    expect((await next).rows).toEqual(['shop/api', 'shop/web', 'outside']);
    expect(problems).toEqual([]);
    await stop();
  });

  it('waits with a state that has not been read whole, and says what cannot be played', async () => {
    const { source, recorder, problems, matrix, stop } = follow();
    recorder.waits.subscribe((revision) => recorder.settles.next(revision));
    const first = matrix();
    source.next({ ...change('half', node(1)), synced: false });
    source.next(change('whole', web));
    expect((await first).rows).toEqual(['shop/web', 'outside']);
    const third = matrix();
    source.next(
      change('apart', node(2, { addresses: ['fd00::9' as never] }), node(3, { addresses: ['172.30.9.9' as never] })),
    );
    await expect
      .poll(() => problems.map(({ message }) => message))
      .toEqual(['nodes node2 (fd00::9) and node3 (172.30.9.9) have no address of the same family']);
    source.next({
      ...change('together'),
      events: [{ type: 'delete', kind: 'Node', key: keyOf(node(3)) }],
    });
    expect((await third).rows).toEqual(['shop/web', 'outside']);
    await stop();
  });
});
