import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { attachTc, attachTcInBackground, BpfError, detachTc, features, listTc, netns, TcLink } from '../lib/index.js';
import { loadFixture } from './support/fixture.js';
import { ip, makePair, pinPath } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';
import { openTraffic } from './support/traffic.js';

describeAsRoot('attaching', () => {
  let pair;
  let object;
  let traffic;
  beforeAll(() => {
    object = loadFixture();
  });
  afterAll(() => object.close());
  beforeEach(() => {
    pair = makePair();
    traffic = openTraffic(pair);
  });
  afterEach(() => {
    traffic.close();
    pair.remove();
  });

  const attach = (side, program, options) =>
    netns.run(side.name, () => attachTc(object.program(program), { ifindex: side.ifindex, ...options }));
  const list = (side, direction) => netns.run(side.name, () => listTc(side.ifindex, direction));

  for (const mode of ['tcx', 'clsact']) {
    test(`by ${mode} drops packets until detached, in both directions`, () => {
      expect(traffic.passes(true)).toBe(true);
      for (const [side, direction] of [
        [pair.left, 'egress'],
        [pair.right, 'ingress'],
      ]) {
        const link = attach(side, 'drop', { direction, mode });
        expect(link.mode).toBe(mode);
        expect(link.info).toMatchObject({
          ifindex: side.ifindex,
          direction,
          mode,
          programId: object.program('drop').info.id,
        });
        expect(traffic.passes(false)).toBe(false);
        link.detach();
        expect(traffic.passes(true)).toBe(true);
        link.detach();
        link.close();
        link.close();
      }
    });

    test(`by ${mode} swaps programs in place`, () => {
      const link = attach(pair.right, 'pass', { direction: 'ingress', mode });
      expect(traffic.passes(true)).toBe(true);
      link.update(object.program('drop'));
      expect(link.info.programId).toBe(object.program('drop').info.id);
      expect(traffic.passes(false)).toBe(false);
      link.update(object.program('pass'));
      expect(traffic.passes(true)).toBe(true);
      expect(list(pair.right, 'ingress')).toHaveLength(1);
      link.detach();
      link.close();
    });

    test(`by ${mode} is listed`, () => {
      expect(list(pair.right, 'egress')).toEqual([]);
      const link = attach(pair.right, 'drop', { direction: 'egress', mode });
      const { direction: _, ifindex: __, ...attached } = link.info;
      expect(list(pair.right, 'egress')).toEqual([expect.objectContaining(attached)]);
      expect(list(pair.right, 'ingress')).toEqual([]);
      link.detach();
      expect(list(pair.right, 'egress')).toEqual([]);
      link.close();
    });

    test(`by ${mode} survives that the interface goes`, () => {
      const link = attach(pair.right, 'drop', { direction: 'ingress', mode });
      ip('-n', pair.right.name, 'link', 'delete', 'eth0');
      if (mode === 'tcx') expect(link.info.ifindex).toBe(0);
      else expect(() => link.info).toThrow(expect.objectContaining({ code: 'ENOENT' }));
      link.detach();
      link.close();
    });
  }

  test('chooses tcx where the kernel has it', () => {
    const link = attach(pair.right, 'drop', { direction: 'ingress' });
    expect(link.mode).toBe(features.hasTcx() ? 'tcx' : 'clsact');
    link.detach();
    link.close();
  });

  test('by tcx ends with the last handle', () => {
    const link = attach(pair.right, 'drop', { direction: 'ingress', mode: 'tcx' });
    expect(traffic.passes(false)).toBe(false);
    link.close();
    expect(traffic.passes(true)).toBe(true);
  });

  test('by tcx outlives its handle when pinned, and can be taken over', () => {
    const path = pinPath('link');
    const link = attach(pair.right, 'drop', { direction: 'ingress', mode: 'tcx', pinPath: path });
    link.close();
    expect(traffic.passes(false)).toBe(false);
    const again = TcLink.openPinned(path);
    expect(again.info).toMatchObject({ ifindex: pair.right.ifindex, direction: 'ingress', mode: 'tcx' });
    again.update(object.program('pass'));
    expect(traffic.passes(true)).toBe(true);
    again.update(object.program('drop'));
    again.unpin(path);
    expect(traffic.passes(false)).toBe(false);
    again.close();
    expect(existsSync(path)).toBe(false);
    expect(traffic.passes(true)).toBe(true);
  });

  test('by tcx leaves nothing attached when the pin fails', () => {
    expect(() => attach(pair.right, 'drop', { direction: 'ingress', mode: 'tcx', pinPath: '/run/nowhere/x' })).toThrow(
      expect.objectContaining({ syscall: 'BPF_OBJ_PIN' }),
    );
    expect(list(pair.right, 'ingress')).toEqual([]);
  });

  test('opens no pin of something else as a link', () => {
    const path = pinPath('notlink');
    object.map('counts').pin(path);
    expect(() => TcLink.openPinned(path)).toThrow(BpfError);
    object.map('counts').unpin(path);
  });

  test('by clsact stays after its handle, and can be found and removed by its place', () => {
    const place = { ifindex: pair.right.ifindex, direction: 'ingress', priority: 7, handle: 3 };
    const link = attach(pair.right, 'drop', { ...place, mode: 'clsact' });
    expect(() => link.pin('/sys/fs/bpf/never')).toThrow(expect.objectContaining({ code: 'EOPNOTSUPP' }));
    link.close();
    expect(traffic.passes(false)).toBe(false);
    expect(list(pair.right, 'ingress')).toMatchObject([
      { mode: 'clsact', priority: 7, handle: 3, name: expect.stringMatching(/^drop/) },
    ]);

    attach(pair.right, 'pass', { ...place, mode: 'clsact' }).close();
    expect(traffic.passes(true)).toBe(true);

    const again = netns.run(pair.right.name, () => TcLink.openClsact(place));
    expect(again.info).toMatchObject({ ...place, mode: 'clsact' });
    again.close();
    expect(netns.run(pair.right.name, () => detachTc(place))).toBe(true);
    expect(netns.run(pair.right.name, () => detachTc(place))).toBe(false);
    expect(() => netns.run(pair.right.name, () => TcLink.openClsact(place))).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    );
    expect(list(pair.right, 'ingress')).toEqual([]);
  });

  test('by clsact never comes back through an update', () => {
    const link = attach(pair.right, 'drop', { direction: 'ingress', mode: 'clsact' });
    link.detach();
    expect(() => link.update(object.program('drop'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(list(pair.right, 'ingress')).toEqual([]);
    link.close();
  });

  test('lists tcx before clsact, in the order in which they run', () => {
    const links = [
      attach(pair.right, 'pass', { direction: 'ingress', mode: 'clsact', priority: 2, handle: 1 }),
      attach(pair.right, 'drop', { direction: 'ingress', mode: 'clsact', priority: 1, handle: 1 }),
      attach(pair.right, 'pass', { direction: 'ingress', mode: 'tcx' }),
      attach(pair.right, 'report', { direction: 'ingress', mode: 'tcx' }),
    ];
    const id = (name) => object.program(name).info.id;
    expect(list(pair.right, 'ingress').map(({ mode, programId }) => [mode, programId])).toEqual([
      ['tcx', id('pass')],
      ['tcx', id('report')],
      ['clsact', id('drop')],
      ['clsact', id('pass')],
    ]);
    for (const link of links) {
      link.detach();
      link.close();
    }
  });

  /** A function that runs in a namespace returns no promise: wrapped. */
  const inBackground = (side, program, options) => {
    const all = { ifindex: side.ifindex, direction: 'ingress', ...options };
    const [attaching] = netns.run(side.name, () => [attachTcInBackground(object.program(program), all)]);
    return attaching;
  };

  test('in the background attaches in the namespace of the caller, and pins', async () => {
    const path = pinPath('background');
    const attaching = inBackground(pair.right, 'drop', { mode: 'tcx', pinPath: path });
    expect(await attaching).toBeUndefined();
    expect(traffic.passes(false)).toBe(false);
    expect(list(pair.right, 'ingress')).toMatchObject([{ mode: 'tcx', programId: object.program('drop').info.id }]);
    const link = TcLink.openPinned(path);
    expect(link.info).toMatchObject({ ifindex: pair.right.ifindex, direction: 'ingress' });
    link.detach();
    link.unpin(path);
    link.close();
    expect(traffic.passes(true)).toBe(true);
  });

  test('in the background by clsact, many at a time, in several namespaces', async () => {
    const place = { mode: 'clsact', priority: 7, handle: 3 };
    await Promise.all(
      [pair.left, pair.right].flatMap((side) =>
        ['ingress', 'egress'].map((direction) => inBackground(side, 'pass', { ...place, direction })),
      ),
    );
    for (const side of [pair.left, pair.right]) {
      for (const direction of ['ingress', 'egress']) {
        expect(list(side, direction)).toMatchObject([{ mode: 'clsact', priority: 7, handle: 3 }]);
      }
    }
    expect(traffic.passes(true)).toBe(true);
  });

  test('in the background says what failed, and then leaves nothing attached', async () => {
    await expect(inBackground(pair.right, 'drop', { mode: 'tcx', pinPath: '/run/nowhere/x' })).rejects.toMatchObject({
      code: 'ENOENT',
      syscall: 'BPF_OBJ_PIN',
      message: expect.stringContaining('/run/nowhere/x'),
    });
    expect(list(pair.right, 'ingress')).toEqual([]);
    const missing = { ifindex: 0x7ffffffe };
    await expect(
      inBackground(pair.right, 'drop', { ...missing, mode: 'tcx', pinPath: pinPath('none') }),
    ).rejects.toMatchObject({ code: 'ENODEV', syscall: 'BPF_LINK_CREATE' });
    await expect(inBackground(pair.right, 'drop', { ...missing, mode: 'clsact' })).rejects.toBeInstanceOf(BpfError);
    expect(() => inBackground(pair.right, 'drop', { mode: 'tcx' })).toThrow(/^pinPath: /);
    expect(() => inBackground(pair.right, 'drop', { direction: 'in' })).toThrow(/^direction: /);
  });

  test('in the background goes on when program and object are closed meanwhile', async () => {
    const other = loadFixture();
    const path = pinPath('closed');
    const { ifindex, name } = pair.right;
    const options = { ifindex, direction: 'ingress', mode: 'tcx', pinPath: path };
    const [attaching] = netns.run(name, () => [attachTcInBackground(other.program('drop'), options)]);
    other.close();
    await attaching;
    expect(traffic.passes(false)).toBe(false);
    const link = TcLink.openPinned(path);
    link.detach();
    link.unpin(path);
    link.close();
  });

  test('names an interface that is not there, and wrong arguments', () => {
    for (const mode of ['tcx', 'clsact']) {
      const error = expect.objectContaining({ name: 'BpfError', code: mode === 'tcx' ? 'ENODEV' : expect.any(String) });
      expect(() => attachTc(object.program('drop'), { ifindex: 0x7ffffffe, direction: 'ingress', mode })).toThrow(
        error,
      );
    }
    expect(() => listTc(0x7ffffffe, 'ingress')).toThrow(BpfError);
    expect(() => attach(pair.right, 'drop', { direction: 'in' })).toThrow(/^direction: expected "ingress" or "egress"/);
    expect(() => attachTc(object, { ifindex: 1, direction: 'ingress' })).toThrow(/^program: expected a BpfProgram/);
    expect(() => attachTc(object.program('drop'), { ifindex: 0, direction: 'ingress' })).toThrow(/^ifindex: /);
  });
});
