import { expect, test } from 'vitest';
import { BpfProgram } from '../lib/index.js';
import { loadFixture } from './support/fixture.js';
import { pinPath } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

const packet = Buffer.alloc(64, 0xaa);

describeAsRoot('a test run', () => {
  test('gives verdict, packet, duration and context', () => {
    const object = loadFixture();
    const program = object.program('mark_and_count');
    const result = program.testRun({ packet, context: { mark: 3, cb: [0, 4, 0, 0, 0], priority: 6, ifindex: 1 } });
    expect(result).toMatchObject({ returnValue: 0, packet });
    expect(result.durationNs).toBeGreaterThanOrEqual(0);
    expect(result.context).toMatchObject({ mark: 11, priority: 6, cb: [5, 4, 0, 0, 0] });
    expect(object.map('counts').entries()).toHaveLength(1);
    object.close();
  });

  test('gives the packet that comes out, and no context where none went in', () => {
    const object = loadFixture();
    const result = object.program('rewrite').testRun({ packet });
    expect(result.packet[0]).toBe(0xee);
    expect(result.packet.subarray(1)).toEqual(packet.subarray(1));
    expect(result.context).toBeUndefined();
    expect(packet[0]).toBe(0xaa);
    object.close();
  });

  test('repeats', () => {
    const object = loadFixture();
    object.program('mark_and_count').testRun({ packet, repeat: 100, context: { mark: 5 } });
    expect(object.map('.bss').mmap().load64(0)).toBe(100n);
    object.close();
  });

  test('has signed verdicts', () => {
    const object = loadFixture();
    expect(object.program('pass').testRun({ packet }).returnValue).toBe(-1);
    expect(object.program('drop').testRun({ packet }).returnValue).toBe(2);
    object.close();
  });

  test('says what the kernel refuses and what it never asks it', () => {
    const object = loadFixture();
    const program = object.program('pass');
    expect(() => program.testRun({ packet: Buffer.alloc(3) })).toThrow(
      expect.objectContaining({ code: 'EINVAL', syscall: 'BPF_PROG_TEST_RUN' }),
    );
    expect(() => program.testRun({ packet, dataOut: 10 })).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
    expect(() => program.testRun({ packet: 'text' })).toThrow(/^packet: /);
    expect(() => program.testRun({ packet, context: { mark: -1 } })).toThrow(/^context\.mark: /);
    expect(() => program.testRun({ packet, context: { marks: 1 } })).toThrow(/unknown option "marks"/);
    expect(() => program.testRun({ packet, context: { cb: [1] } })).toThrow(/^context\.cb: /);
    object.close();
  });
});

describeAsRoot('a program', () => {
  test('tells about itself', () => {
    const object = loadFixture();
    const { info, name } = object.program('mark_and_count');
    expect(name).toBe('mark_and_count');
    expect(info).toMatchObject({
      name: 'mark_and_count',
      type: 'sched_cls',
      tag: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    expect(info.mapIds).toContain(object.map('counts').info.id);
    object.close();
  });

  test('shows whether a map look-up was inlined', () => {
    const object = loadFixture();
    const program = object.program('shared_verdict');
    const code = program.xlated();
    expect(code.length).toBe(8 * program.info.xlatedInstructions);
    const calls = [];
    for (let at = 0; at < code.length; at += 8) {
      if (code[at] === 0x85) calls.push(at); // BPF_JMP | BPF_CALL
    }
    // Array look-ups become plain loads where programs are compiled.
    expect(calls.length).toBe(program.info.jitedSize > 0 ? 0 : 1);
    object.close();
  });

  test('can be pinned and opened again, by path and by id', () => {
    const path = pinPath('program');
    const object = loadFixture();
    object.program('drop').pin(path);
    const { id } = object.program('drop').info;
    const byId = BpfProgram.fromId(id);
    object.close();
    expect(byId.info.id).toBe(id);
    byId.close();
    const pinned = BpfProgram.openPinned(path);
    expect([pinned.name, pinned.info.id]).toEqual(['drop', id]);
    expect(pinned.testRun({ packet }).returnValue).toBe(2);
    pinned.unpin(path);
    pinned.close();
    expect(() => BpfProgram.openPinned(path)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(() => BpfProgram.fromId(0xfffffff0)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});
