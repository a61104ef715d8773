import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import {
  attachTc,
  BpfMap,
  BpfObject,
  ClosedError,
  listTc,
  netlink,
  netns,
  PacketSocket,
  RingBuffer,
} from '../lib/index.js';
import { compileFixture, loadFixture, u32 } from './support/fixture.js';
import { makeNetns, removeNetns } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

const library = new URL('../lib/index.js', import.meta.url).href;
const LOOPBACK = 1;

/** One of each kind of handle, in a namespace of its own. */
function openAll(name) {
  const object = loadFixture();
  const map = object.map('counts');
  return {
    object,
    map,
    mapped: object.map('shared').mmap(),
    program: object.program('drop'),
    ring: new RingBuffer(object.map('events'), () => {}),
    created: BpfMap.create({ type: 'hash', keySize: 4, valueSize: 4, maxEntries: 1 }),
    tcx: netns.run(name, () =>
      attachTc(object.program('pass'), { ifindex: LOOPBACK, direction: 'ingress', mode: 'tcx' }),
    ),
    clsact: netns.run(name, () =>
      attachTc(object.program('pass'), { ifindex: LOOPBACK, direction: 'egress', mode: 'clsact' }),
    ),
    watch: netns.run(name, () => netlink.watch(() => {})),
    packets: netns.run(name, () => new PacketSocket({ ifindex: LOOPBACK, onFrame: () => {} })),
  };
}

/** What of the kernel's this process holds open. */
function heldFds() {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return /bpf|netlink|socket:|net:\[/.test(target) ? [target] : [];
    } catch {
      return []; // the one that was listing
    }
  });
}

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

describeAsRoot('closing', () => {
  test('is idempotent for every kind of handle, and leaves nothing open', () => {
    const name = makeNetns();
    loadFixture().close(); // what is made once per process
    const before = heldFds();
    const handles = openAll(name);
    expect(heldFds().length).toBeGreaterThan(before.length);
    for (const handle of Object.values(handles).reverse()) {
      expect(handle.closed).toBe(false);
      handle.close();
      handle.close();
      handle[Symbol.dispose]();
      expect(handle.closed).toBe(true);
    }
    expect(heldFds()).toEqual(before);
    removeNetns(name);
  });

  test('of the object closes what came from it, children first', () => {
    const name = makeNetns();
    const { object, created, tcx, clsact, watch, packets, ...children } = openAll(name);
    object.close();
    for (const [kind, child] of Object.entries(children)) expect([kind, child.closed]).toEqual([kind, true]);
    // A link holds its program by itself.
    expect(tcx.info.programId).toBeGreaterThan(0);
    for (const handle of [created, tcx, clsact, watch, packets]) handle.close();
    removeNetns(name);
  });

  test('makes every method throw a clear error', () => {
    const name = makeNetns();
    const handles = openAll(name);
    for (const handle of Object.values(handles)) handle.close();
    const calls = {
      object: ['rodata', 'setRodata', 'setMaxEntries', 'load', 'map', 'program'],
      map: [
        'get',
        'set',
        'delete',
        'keys',
        'entries',
        'entriesBatch',
        'setBatch',
        'deleteBatch',
        'setInner',
        'getInner',
      ],
      mapped: ['load64', 'store64', 'load32', 'store32', 'read'],
      program: ['testRun', 'xlated', 'pin', 'unpin'],
      ring: ['consume', 'ref', 'unref'],
      tcx: ['detach', 'pin', 'unpin', 'update'],
      clsact: ['detach', 'pin', 'update'],
      watch: ['ref', 'unref'],
      packets: ['send', 'receive', 'ref', 'unref'],
    };
    // With arguments that would do, so that nothing but the closing is wrong.
    const other = loadFixture();
    const good = {
      rodata: ['wanted_mark'],
      setRodata: ['wanted_mark', u32(1)],
      setMaxEntries: ['counts', 1],
      map: ['counts'],
      program: ['drop'],
      get: [u32(1)],
      set: [u32(1), u32(1, 1)],
      delete: [u32(1)],
      setBatch: [u32(1), u32(1, 1), 1],
      deleteBatch: [u32(1), 1],
      load64: [0],
      store64: [0, 0n],
      load32: [0],
      store32: [0, 0],
      read: [0, 1],
      testRun: [{ packet: Buffer.alloc(64) }],
      pin: ['/sys/fs/bpf/never'],
      unpin: ['/sys/fs/bpf/never'],
      update: [other.program('pass')],
      send: [Buffer.alloc(64)],
      receive: [0],
    };
    for (const [kind, methods] of Object.entries(calls)) {
      for (const method of methods) {
        const call = () => handles[kind][method](...(good[method] ?? []));
        expect(call, `${kind}.${method}`).toThrow(ClosedError);
        expect(call).toThrow(
          expect.objectContaining({ code: 'ERR_CLOSED', message: expect.stringMatching(/ is closed$/) }),
        );
      }
    }
    expect(() => handles.tcx.info).toThrow(ClosedError);
    expect(() => handles.program.info).toThrow(ClosedError);
    expect(() => handles.object.maps).toThrow(ClosedError);
    other.close();
    removeNetns(name);
  });

  test('frees a memory map that is still used by nobody but itself', () => {
    const object = loadFixture();
    const memory = object.map('shared').mmap();
    object.map('shared').close();
    expect(memory.closed).toBe(true);
    const again = object.map('shared'); // a closed handle is replaced
    expect(again.closed).toBe(false);
    object.close();
  });
});

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

test('an object that was only opened needs no closing', () => {
  for (let i = 0; i < 50; i++) BpfObject.open(compileFixture('fixture'));
});
