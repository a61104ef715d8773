import { expect, test } from 'vitest';
import { BpfObject, ClosedError } from '../lib/index.js';
import { compileFixture, loadFixture, u32 } from './support/fixture.js';
import { heldFds, openAll } from './support/handles.js';
import { makeNetns, removeNetns } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

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
    const { object, created, tcx, clsact, watch, nflog, packets, ...children } = openAll(name);
    object.close();
    for (const [kind, child] of Object.entries(children)) expect([kind, child.closed]).toEqual([kind, true]);
    // A link holds its program by itself.
    expect(tcx.info.programId).toBeGreaterThan(0);
    for (const handle of [created, tcx, clsact, watch, nflog, packets]) handle.close();
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
        'setInnerBatch',
        'deleteInnerBatch',
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

test('an object that was only opened needs no closing', () => {
  for (let i = 0; i < 50; i++) BpfObject.open(compileFixture('fixture'));
});
