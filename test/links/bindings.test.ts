import { describe, expect, it } from 'vitest';
import { Bindings } from '../../src/links/bindings.ts';
import type { Address } from '../../src/model/address.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import type { PodLink } from '../../src/model/links.ts';

const key = (text: string) => text as ObjectKey;

function link(ifindex: number, ...addresses: string[]): PodLink {
  return { ifindex, name: `veth${ifindex}`, addresses: addresses as Address[] };
}

function links(...all: PodLink[]) {
  const pods = new Map(all.map((one) => [one.ifindex, one]));
  return { pods, ownAddresses: new Set(['10.0.0.1', 'fe80::ffff'] as Address[]), gone: new Set<number>() };
}

function state(pods: Record<string, string[]>, awaited: Record<string, boolean> = {}) {
  return {
    endpoints: new Map(
      Object.entries(pods).map(([pod, addresses]) => [key(pod), { pod: key(pod), addresses: addresses as Address[] }]),
    ),
    awaited: new Map(Object.entries(awaited).map(([pod, isolated]) => [key(pod), { isolated }])),
  };
}

const shop = { 'shop/web': ['10.0.0.2', 'fd00::2'], 'shop/db': ['10.0.0.3'] };

describe('binding links to pods', () => {
  it('binds a link by any of the addresses of one pod, with its link-local addresses', () => {
    const binding = new Bindings('auto').update(links(link(7, '10.0.0.2', 'fe80::1')), state(shop)).get(7);
    expect(binding).toMatchObject({ kind: 'endpoint', pod: 'shop/web', linkLocal: ['fe80::1'] });
  });

  it('lets the first claim stand and closes the second', () => {
    const bindings = new Bindings('open');
    bindings.update(links(link(7, '10.0.0.2')), state(shop));
    const after = bindings.update(links(link(7, '10.0.0.2'), link(5, '10.0.0.2')), state(shop));
    expect(after.get(7)).toMatchObject({ kind: 'endpoint', pod: 'shop/web' });
    expect(after.get(5)).toMatchObject({
      kind: 'pending',
      verdict: 'closed',
      reason: expect.stringContaining('shop/web'),
    });
  });

  it('closes a new link that claims the addresses of two pods, also when unknown links are open', () => {
    const after = new Bindings('open').update(links(link(7, '10.0.0.2', '10.0.0.3')), state(shop));
    expect(after.get(7)).toMatchObject({ kind: 'pending', verdict: 'closed' });
  });

  it('closes a link whose address two pods have', () => {
    const both = state({ 'a/one': ['10.0.0.2'], 'b/two': ['10.0.0.2'] });
    expect(new Bindings('open').update(links(link(7, '10.0.0.2')), both).get(7)).toMatchObject({ verdict: 'closed' });
  });

  it('keeps a bound link bound when the pod adds a neighbour’s address or drops its own', () => {
    const bindings = new Bindings('open');
    bindings.update(links(link(7, '10.0.0.2')), state(shop));
    for (const now of [link(7, '10.0.0.2', '10.0.0.3'), link(7, '10.0.0.3'), link(7)]) {
      expect(bindings.update(links(now), state(shop)).get(7)).toMatchObject({ kind: 'endpoint', pod: 'shop/web' });
    }
  });

  it('gives the neighbour its own link although another pod added its address before', () => {
    const bindings = new Bindings('open');
    bindings.update(links(link(7, '10.0.0.2')), state(shop));
    const after = bindings.update(links(link(7, '10.0.0.2', '10.0.0.3'), link(9, '10.0.0.3')), state(shop));
    expect(after.get(9)).toMatchObject({ kind: 'endpoint', pod: 'shop/db' });
  });

  it('judges a link anew when its pod is gone or has another address', () => {
    const bindings = new Bindings('open');
    bindings.update(links(link(7, '10.0.0.2')), state(shop));
    const gone = bindings.update(links(link(7, '10.0.0.2')), state({ 'shop/db': ['10.0.0.2'] }));
    expect(gone.get(7)).toMatchObject({ kind: 'endpoint', pod: 'shop/db' });
    const moved = bindings.update(links(link(7, '10.0.0.2')), state({ 'shop/db': ['10.0.0.9'] }));
    expect(moved.get(7)).toMatchObject({ kind: 'pending' });
  });

  it('takes a link that comes back with the index of another for a new one', () => {
    const bindings = new Bindings('open');
    bindings.update(links(link(7, '10.0.0.2')), state(shop));
    bindings.update(links(), state(shop));
    expect(bindings.update(links(link(7, '10.0.0.3')), state(shop)).get(7)).toMatchObject({ pod: 'shop/db' });
  });
});

describe('a link that was bound once', () => {
  it('is closed while its pod is gone, whatever unknown links may do', () => {
    const bindings = new Bindings('open');
    bindings.update(links(link(7, '10.0.0.2')), state(shop));
    expect(bindings.update(links(link(7, '10.0.0.2')), state({})).get(7)).toMatchObject({ verdict: 'closed' });
  });

  it('is forgotten when its index was seen to go, although a link with that index is there again', () => {
    const bindings = new Bindings('open');
    bindings.update(links(link(7, '10.0.0.2')), state(shop));
    const again = { ...links(link(7, '10.0.0.3')), gone: new Set([7]) };
    expect(bindings.update(again, state(shop)).get(7)).toMatchObject({ kind: 'endpoint', pod: 'shop/db' });
  });

  it('stays whose it was over a restart, although its pod has taken a neighbour’s address meanwhile', () => {
    const inForce = new Map([[7, ['fd00::2', '10.0.0.2'] as Address[]]]);
    const after = new Bindings('auto', inForce).update(links(link(7, '10.0.0.3'), link(9, '10.0.0.3')), state(shop));
    expect(after.get(7)).toMatchObject({ kind: 'endpoint', pod: 'shop/web' });
    expect(after.get(9)).toMatchObject({ kind: 'endpoint', pod: 'shop/db' });
  });

  it('is closed after a restart when its pod is gone', () => {
    const inForce = new Map([[7, ['10.0.0.7'] as Address[]]]);
    expect(new Bindings('open', inForce).update(links(link(7)), state(shop)).get(7)).toMatchObject({
      verdict: 'closed',
    });
  });
});

describe('link-local addresses', () => {
  it('count when neither the node nor another link has them, the first one for good', () => {
    const bindings = new Bindings('auto');
    bindings.update(links(link(7, '10.0.0.2', 'fe80::7')), state(shop));
    const after = bindings.update(
      links(link(7, '10.0.0.2', 'fe80::9', 'fe80::7'), link(9, '10.0.0.3', 'fe80::ffff', 'fe80::7', 'fe80::9')),
      state(shop),
    );
    expect(after.get(7)).toMatchObject({ linkLocal: ['fe80::7'] });
    expect(after.get(9)).toMatchObject({ linkLocal: ['fe80::9'] });
  });
});

describe('what an unknown link may do', () => {
  it.each([
    ['auto', {}, 'closed'],
    ['auto', { 'a/new': false }, 'open'],
    ['auto', { 'a/new': false, 'b/new': true }, 'closed'],
    ['open', { 'b/new': true }, 'open'],
    ['closed', { 'a/new': false }, 'closed'],
  ] as const)('%s with awaited pods %o: %s', (mode, awaited, verdict) => {
    const bindings = new Bindings(mode).update(links(link(7, '10.9.9.9')), state(shop, awaited));
    expect(bindings.get(7)).toMatchObject({ kind: 'pending', verdict });
  });
});
