import { describe, expect, it } from 'vitest';
import {
  labIdOf,
  labOf,
  macOf,
  nodeNamespace,
  pidOf,
  podInterface,
  podNamespace,
} from '../../src/lab/network/names.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';

const lab = labIdOf(4711, 0);

describe('names of a lab', () => {
  it('say which lab, node and pod they belong to', () => {
    expect(nodeNamespace(lab, 'node1')).toBe('slv-4711-node1');
    expect(podNamespace(lab, 'node1', 'shop/web' as ObjectKey)).toBe('slv-4711-node1_shop_web');
  });

  it('differ for labs of one process, and lead back to it', () => {
    const ids = Array.from({ length: 60 }, (_, nth) => labIdOf(4711, nth));
    expect(new Set(ids).size).toBe(60);
    for (const id of ids) {
      expect(pidOf(id)).toBe(4711);
      expect(labOf(nodeNamespace(id, 'node1'))).toBe(id);
    }
  });

  it('are not taken for those of others', () => {
    for (const name of ['slv-node', 'slv-12', 'slv4711-node1', 'cni-1234', 'slv-04-x'])
      expect(labOf(name)).toBe(undefined);
  });

  it('fit where the kernel and the file system want them short, and stay different', () => {
    const long = (last: string) =>
      podNamespace(lab, 'n'.repeat(253), `${'a'.repeat(63)}/${'b'.repeat(252)}${last}` as ObjectKey);
    expect(long('x').length).toBeLessThanOrEqual(255);
    expect(long('x')).not.toBe(long('y'));
    expect(podInterface(long('x')).length).toBeLessThanOrEqual(15);
  });

  it('are not the same for pods whose names run together', () => {
    expect(podNamespace(lab, 'node1', 'a/b-c' as ObjectKey)).not.toBe(podNamespace(lab, 'node1', 'a-b/c' as ObjectKey));
    expect(nodeNamespace(lab, 'node1-a')).not.toBe(podNamespace(lab, 'node1', 'a/b' as ObjectKey));
  });

  it('give every place one locally administered Ethernet address', () => {
    expect(macOf('a')).toMatch(/^0a:58(:[0-9a-f]{2}){4}$/);
    expect(macOf('a')).toBe(macOf('a'));
    expect(macOf('a')).not.toBe(macOf('b'));
  });
});
