import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { listTc, netns } from '../lib/index.js';
import { compileFixture } from './support/fixture.js';
import { heldFds, LOOPBACK } from './support/handles.js';
import { makeNetns, removeNetns } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

const library = new URL('../lib/index.js', import.meta.url).href;

/** Runs a script in a process or worker to its end, with the library as `B` and the fixture's path. */
const scriptOf = (body) => `
  import * as B from ${JSON.stringify(library)};
  const object = B.BpfObject.open(${JSON.stringify(compileFixture('fixture'))});
  object.load();
  const ring = new B.RingBuffer(object.map('events'), () => {});
  const watch = B.netlink.watch(() => {});
  const packets = new B.PacketSocket({ ifindex: 1, onFrame: () => {} });
  const memory = object.map('shared').mmap();
  ${body}`;

async function runProcess(body) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', scriptOf(body)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const [code, signal] = await once(child, 'close');
  return { code, signal, output };
}

describeAsRoot('a worker thread', () => {
  const run = async (body) => {
    const worker = new Worker(scriptOf(body), { eval: true, type: 'module' });
    const errors = [];
    worker.on('error', (error) => errors.push(error));
    return { worker, errors };
  };

  test('that ends by itself leaves nothing behind', async () => {
    const before = heldFds();
    const { worker, errors } = await run('for (const one of [ring, watch, packets]) one.unref();');
    const [code] = await once(worker, 'exit');
    expect([code, errors]).toEqual([0, []]);
    expect(heldFds()).toEqual(before);
  });

  test('that is ended from outside, with open handles, leaves nothing behind', async () => {
    const before = heldFds();
    for (let i = 0; i < 5; i++) {
      const { worker, errors } = await run(`
        const { parentPort } = await import('node:worker_threads');
        parentPort.postMessage('ready');`);
      expect(await once(worker, 'message')).toEqual(['ready']);
      await worker.terminate();
      expect(errors).toEqual([]);
    }
    expect(heldFds()).toEqual(before);
  });

  test('that is ended in a flood of events leaves nothing behind', async () => {
    const before = heldFds();
    for (let i = 0; i < 20; i++) {
      const { worker, errors } = await run(`
        const { parentPort } = await import('node:worker_threads');
        const sending = new B.PacketSocket({ ifindex: 1 });
        const more = () => {
          object.program('report').testRun({ packet: Buffer.alloc(64), repeat: 500 });
          for (let i = 0; i < 20; i++) sending.send(Buffer.alloc(64));
          setImmediate(more);
        };
        more();
        parentPort.postMessage('busy');`);
      await once(worker, 'message');
      await worker.terminate();
      expect(errors).toEqual([]);
    }
    expect(heldFds()).toEqual(before);
  });

  test('that is ended while it waits for a grace period leaves nothing behind', async () => {
    const before = heldFds();
    const { worker } = await run(`
      const { parentPort } = await import('node:worker_threads');
      const waits = Array.from({ length: 4 }, () => B.BpfMap.rcuGracePeriod());
      parentPort.postMessage('waiting');
      await Promise.all(waits);`);
    await once(worker, 'message');
    await worker.terminate();
    expect(heldFds()).toEqual(before);
  });

  test('that is ended while a batch of inner maps is on its way leaves nothing behind', async () => {
    const before = heldFds();
    const { worker } = await run(`
      const { parentPort } = await import('node:worker_threads');
      const inner = B.BpfMap.create({ type: 'array', keySize: 4, valueSize: 4, maxEntries: 1 });
      const outer = B.BpfMap.create({ type: 'hash_of_maps', keySize: 4, valueSize: 4, maxEntries: 8, innerMap: inner });
      const batches = Array.from({ length: 4 }, (_, i) => outer.setInnerBatch(Buffer.alloc(4, i), [inner]));
      parentPort.postMessage('waiting');
      await Promise.all(batches);`);
    await once(worker, 'message');
    await worker.terminate();
    expect(heldFds()).toEqual(before);
  });

  test('that is ended while programs are being attached leaves none of their handles behind', async () => {
    const before = heldFds();
    const name = makeNetns();
    for (let i = 0; i < 5; i++) {
      const { worker, errors } = await run(`
        const { parentPort } = await import('node:worker_threads');
        const attaching = B.netns.run(${JSON.stringify(name)}, () => ['ingress', 'egress'].flatMap((direction) =>
          Array.from({ length: 4 }, (_, i) => B.attachTcInBackground(object.program('pass'),
            { ifindex: 1, direction, mode: 'clsact', priority: 1 + i, handle: 1 }))));
        parentPort.postMessage('attaching');
        await Promise.all(attaching);`);
      await once(worker, 'message');
      await worker.terminate();
      expect(errors).toEqual([]);
    }
    expect(heldFds()).toEqual(before);
    removeNetns(name);
  });

  test('can live in a network namespace of its own', async () => {
    const name = makeNetns();
    const here = netns.inode();
    const { worker } = await run(`
      B.netns.enter(${JSON.stringify(name)});
      const { parentPort } = await import('node:worker_threads');
      parentPort.postMessage([B.netns.inode(), B.netlink.links().map(({ name }) => name)]);
      for (const one of [ring, watch, packets]) one.close();`);
    const [[inside, links]] = await once(worker, 'message');
    await once(worker, 'exit');
    expect(inside).toBe(netns.inode(name));
    expect(links).toContain('lo');
    expect(netns.inode()).toBe(here);
    removeNetns(name);
  });
});

describeAsRoot('a process', () => {
  test('ends by itself once its handles are unref’d, still open', async () => {
    const result = await runProcess('for (const one of [ring, watch, packets]) one.unref(); console.log("end");');
    expect(result).toEqual({ code: 0, signal: null, output: 'end\n' });
  });

  test('can exit with open handles', async () => {
    expect(await runProcess('process.exit(7);')).toEqual({ code: 7, signal: null, output: '' });
  });

  test('can end with an exception and open handles', async () => {
    const { code, output } = await runProcess('throw new Error("on purpose");');
    expect(code).toBe(1);
    expect(output).toContain('on purpose');
  });

  test('can lose its handles to the garbage collector', async () => {
    const result = await runProcess(`
      const { setFlagsFromString } = await import('node:v8');
      setFlagsFromString('--expose-gc');
      const gc = (await import('node:vm')).runInNewContext('gc');
      for (const one of [ring, watch, packets]) one.close();
      const { readdirSync } = await import('node:fs');
      const open = () => readdirSync('/proc/self/fd').length;
      const start = open();
      for (let i = 0; i < 100; i++) B.BpfMap.create({ type: 'array', keySize: 4, valueSize: 4, maxEntries: 1 });
      const { setImmediate } = await import('node:timers/promises');
      for (let i = 0; i < 50 && open() > start; i++) { gc(); await setImmediate(); }
      console.log(open() - start);`);
    expect(result).toEqual({ code: 0, signal: null, output: '0\n' });
  });

  test('can exit while programs are being attached', async () => {
    const name = makeNetns();
    const result = await runProcess(`
      B.netns.run(${JSON.stringify(name)}, () => {
        for (let i = 0; i < 8; i++) {
          B.attachTcInBackground(object.program('pass'),
            { ifindex: 1, direction: 'ingress', mode: 'clsact', priority: 1 + i, handle: 1 });
        }
      });
      process.exit(7);`);
    expect(result).toEqual({ code: 7, signal: null, output: '' });
    removeNetns(name);
  });

  test('that ends takes its tcx links with it, and leaves clsact filters', async () => {
    const name = makeNetns();
    const result = await runProcess(`
      B.netns.run(${JSON.stringify(name)}, () => {
        B.attachTc(object.program('pass'), { ifindex: 1, direction: 'ingress', mode: 'tcx' });
        B.attachTc(object.program('pass'), { ifindex: 1, direction: 'ingress', mode: 'clsact' });
        console.log(B.listTc(1, 'ingress').length);
      });
      process.exit();`);
    expect(result).toMatchObject({ code: 0, output: '2\n' });
    expect(netns.run(name, () => listTc(LOOPBACK, 'ingress'))).toMatchObject([
      { mode: 'clsact', name: expect.stringMatching(/^pass/) },
    ]);
    removeNetns(name);
  });
});
