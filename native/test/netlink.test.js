import { afterEach, expect, test } from 'vitest';
import { netlink, netns } from '../lib/index.js';
import { ip, makeNetns, removeNetns } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

const names = [];
const newNetns = () => {
  const name = makeNetns();
  names.push(name);
  return name;
};
afterEach(() => {
  for (const name of names.splice(0)) removeNetns(name);
});

/** Watches a namespace; `until(predicate)` resolves with the first event, past or future, that fits. */
function watchIn(name, options) {
  const events = [];
  let waiting = () => {};
  const watch = netns.run(name, () =>
    netlink.watch((event) => {
      events.push(event);
      waiting();
    }, options),
  );
  const until = (predicate) =>
    new Promise((resolve) => {
      waiting = () => {
        const found = events.find(predicate);
        if (found) resolve(found);
      };
      waiting();
    });
  return { watch, events, until };
}

describeAsRoot('links', () => {
  test('tell a veth, its peer and its master', () => {
    const [node, pod] = [newNetns(), newNetns()];
    ip('-n', node, 'link', 'add', 'cni0', 'type', 'bridge');
    ip('-n', node, 'link', 'add', 'host0', 'mtu', '1400', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod);
    ip('-n', node, 'link', 'set', 'host0', 'master', 'cni0', 'up');
    ip('-n', node, 'link', 'set', 'host0', 'address', '02:00:00:00:00:0a');
    const links = netns.run(node, () => netlink.links());
    const find = (wanted) => links.find(({ name }) => name === wanted);
    expect(find('lo')).toMatchObject({ ifindex: 1, loopback: true, up: true });
    expect(find('lo').kind).toBeUndefined();
    expect(find('cni0')).toMatchObject({ kind: 'bridge', up: false });
    const id = netns.run(node, () => netlink.netnsId(pod));
    const peer = netns.run(pod, () => netlink.links()).find(({ name }) => name === 'eth0');
    expect(find('host0')).toMatchObject({
      kind: 'veth',
      master: find('cni0').ifindex,
      peerIndex: peer.ifindex,
      peerNetnsId: id,
      mac: '02:00:00:00:00:0a',
      mtu: 1400,
      up: true,
      running: false,
      loopback: false,
    });
    expect(peer.peerIndex).toBe(find('host0').ifindex);
  });

  test('and addresses of another namespace are found by its id', () => {
    const [node, pod] = [newNetns(), newNetns()];
    ip('-n', node, 'link', 'add', 'host0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod);
    ip('-n', pod, 'address', 'add', '10.244.1.7/24', 'dev', 'eth0');
    ip('-n', pod, 'address', 'add', 'fd00::7/64', 'dev', 'eth0', 'nodad');
    netns.run(node, () => {
      const { peerNetnsId, peerIndex } = netlink.links().find(({ name }) => name === 'host0');
      const inside = netlink.links({ netnsId: peerNetnsId });
      expect(inside.map(({ name }) => name).sort()).toEqual(['eth0', 'lo']);
      const addresses = netlink.addresses({ netnsId: peerNetnsId }).filter(({ ifindex }) => ifindex === peerIndex);
      expect(addresses).toContainEqual(
        expect.objectContaining({ family: 4, address: '10.244.1.7', prefixLength: 24, scope: 'global' }),
      );
      expect(addresses).toContainEqual(expect.objectContaining({ family: 6, address: 'fd00::7', prefixLength: 64 }));
      expect(netlink.addresses().map(({ address }) => address)).not.toContain('10.244.1.7');
      expect(() => netlink.addresses({ netnsId: 4711 })).toThrow(
        expect.objectContaining({ code: 'EINVAL', syscall: 'RTM_GETADDR' }),
      );
    });
  });

  test('have own addresses where there is a peer address', () => {
    const node = newNetns();
    ip('-n', node, 'address', 'add', '10.5.0.1', 'peer', '10.5.0.2/32', 'dev', 'lo');
    const addresses = netns.run(node, () => netlink.addresses());
    expect(addresses).toContainEqual(expect.objectContaining({ address: '10.5.0.1', prefixLength: 32 }));
  });
});

describeAsRoot('a namespace’s id', () => {
  test('is given only when asked for, and stays', () => {
    const [node, other] = [newNetns(), newNetns()];
    netns.run(node, () => {
      expect(netlink.netnsId(other)).toBeUndefined();
      const id = netlink.netnsId(other, { assign: true });
      expect(id).toBeGreaterThanOrEqual(0);
      expect(netlink.netnsId(other, { assign: true })).toBe(id);
      expect(netlink.netnsId(`/run/netns/${other}`)).toBe(id);
    });
    expect(() => netlink.netnsId('no-such-namespace')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});

describeAsRoot('a watch', () => {
  test('sees a veth come, change and go', async () => {
    const [node, pod] = [newNetns(), newNetns()];
    const { watch, until } = watchIn(node);
    ip('-n', node, 'link', 'add', 'host0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod);
    const { link } = await until((event) => event.kind === 'link' && event.link.name === 'host0' && !event.removed);
    expect(link.kind).toBe('veth');
    ip('-n', node, 'link', 'set', 'host0', 'up');
    await until((event) => event.kind === 'link' && event.link.ifindex === link.ifindex && event.link.up);
    ip('-n', node, 'link', 'delete', 'host0');
    const gone = await until((event) => event.kind === 'link' && event.removed);
    expect(gone.link).toMatchObject({ ifindex: link.ifindex, name: 'host0' });
    watch.close();
  });

  test('takes a port that leaves its bridge for no link that is gone', async () => {
    const node = newNetns();
    ip('-n', node, 'link', 'add', 'cni0', 'type', 'bridge');
    ip('-n', node, 'link', 'add', 'port0', 'type', 'veth', 'peer', 'name', 'end0');
    ip('-n', node, 'link', 'set', 'port0', 'master', 'cni0');
    const { watch, events, until } = watchIn(node);
    ip('-n', node, 'link', 'set', 'port0', 'nomaster');
    await until((event) => event.kind === 'link' && event.link.name === 'port0' && event.link.master === undefined);
    ip('-n', node, 'link', 'set', 'end0', 'mtu', '1300');
    await until((event) => event.kind === 'link' && event.link.mtu === 1300);
    expect(events.filter(({ removed }) => removed)).toEqual([]);
    watch.close();
  });

  test('sees addresses of both families come and go', async () => {
    const node = newNetns();
    const { watch, until } = watchIn(node);
    for (const [address, family] of [
      ['10.1.2.3/24', 4],
      ['fd00::3/64', 6],
    ]) {
      const text = address.split('/')[0];
      const seen = (removed) => (event) =>
        event.kind === 'address' && event.removed === removed && event.address.address === text;
      ip('-n', node, 'address', 'add', address, 'dev', 'lo');
      expect((await until(seen(false))).address).toMatchObject({ ifindex: 1, family });
      ip('-n', node, 'address', 'delete', address, 'dev', 'lo');
      await until(seen(true));
    }
    watch.close();
  });

  test('sees other namespaces too, by their ids', async () => {
    const [node, pod] = [newNetns(), newNetns()];
    const { watch, until } = watchIn(node, { allNetns: true });
    const id = netns.run(node, () => netlink.netnsId(pod, { assign: true }));
    ip('-n', pod, 'address', 'add', '10.244.9.9/32', 'dev', 'lo');
    const event = await until(({ kind, address }) => kind === 'address' && address.address === '10.244.9.9');
    expect(event.netnsId).toBe(id);
    ip('-n', node, 'address', 'add', '10.244.9.8/32', 'dev', 'lo');
    const own = await until(({ kind, address }) => kind === 'address' && address.address === '10.244.9.8');
    expect(own.netnsId).toBeUndefined();
    watch.close();
  });

  test('says when the kernel had to drop events, and goes on', async () => {
    const node = newNetns();
    const { watch, until } = watchIn(node, { receiveBuffer: 2048 });
    // Nothing is read while this thread is busy.
    for (let i = 0; i < 30; i++) ip('-n', node, 'link', 'set', 'lo', 'mtu', String(2000 + i));
    await until(({ kind }) => kind === 'overflow');
    ip('-n', node, 'link', 'set', 'lo', 'mtu', '1400');
    await until(({ kind, link }) => kind === 'link' && link.mtu === 1400);
    watch.close();
  });

  test('names wrong arguments', () => {
    expect(() => netlink.watch()).toThrow(/^onEvent: /);
    expect(() => netlink.watch(() => {}, { allNetns: 'yes' })).toThrow(/^allNetns: /);
    expect(() => netlink.links({ netnsId: -1 })).toThrow(/^netnsId: /);
  });
});
