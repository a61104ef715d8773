/**
 * Prefixes of one family in a binary trie without one-way nodes: which entries cover a place, and which lie in it.
 * A place is its bytes in network order and a length in bits; an address has all of them.
 */
interface Node<T> {
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Absent: the node only parts the ways. */
  value: T | undefined;
  readonly children: [Node<T> | undefined, Node<T> | undefined];
}

export class PrefixTrie<T> {
  readonly #root: Node<T>;

  constructor(bytes: number) {
    this.#root = { bytes: new Uint8Array(bytes), length: 0, value: undefined, children: [undefined, undefined] };
  }

  get(bytes: Uint8Array, length: number): T | undefined {
    let node: Node<T> | undefined = this.#root;
    while (node !== undefined && node.length < length) node = node.children[bitAt(bytes, node.length)];
    return node !== undefined && isAt(node, bytes, length) ? node.value : undefined;
  }

  set(bytes: Uint8Array, length: number, value: T): void {
    let parent = this.#root;
    while (parent.length < length) {
      const side = bitAt(bytes, parent.length);
      const child: Node<T> | undefined = parent.children[side];
      if (child === undefined) {
        parent.children[side] = { bytes, length, value, children: [undefined, undefined] };
        return;
      }
      const common = commonBits(child.bytes, bytes, Math.min(child.length, length));
      if (common < child.length) {
        const fork: Node<T> = { bytes, length: common, value: undefined, children: [undefined, undefined] };
        fork.children[bitAt(child.bytes, common)] = child;
        parent.children[side] = fork;
        parent = fork;
      } else {
        parent = child;
      }
    }
    parent.value = value;
  }

  delete(bytes: Uint8Array, length: number): void {
    const path: Node<T>[] = [];
    let node: Node<T> | undefined = this.#root;
    while (node !== undefined && node.length < length) {
      path.push(node);
      node = node.children[bitAt(bytes, node.length)];
    }
    if (node === undefined || !isAt(node, bytes, length)) return;
    node.value = undefined;
    // The node, and then a fork above it that has lost a way, give their place to what is left below.
    for (let parent = path.pop(); parent !== undefined; parent = path.pop()) {
      if (node.value !== undefined || (node.children[0] !== undefined && node.children[1] !== undefined)) return;
      parent.children[bitAt(node.bytes, parent.length)] = node.children[0] ?? node.children[1];
      node = parent;
    }
  }

  /** Values of all entries that cover the place, itself included, the widest first. */
  *covering(bytes: Uint8Array, length: number): Generator<T> {
    let node: Node<T> | undefined = this.#root;
    while (node !== undefined && node.length <= length) {
      if (commonBits(node.bytes, bytes, node.length) < node.length) return;
      if (node.value !== undefined) yield node.value;
      if (node.length === length) return;
      node = node.children[bitAt(bytes, node.length)];
    }
  }

  /** Values of all entries that lie in the place, itself included. */
  *within(bytes: Uint8Array, length: number): Generator<T> {
    let node: Node<T> | undefined = this.#root;
    while (node !== undefined && node.length < length) node = node.children[bitAt(bytes, node.length)];
    if (node === undefined || commonBits(node.bytes, bytes, length) < length) return;
    const stack = [node];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      if (next.value !== undefined) yield next.value;
      for (const child of next.children) if (child !== undefined) stack.push(child);
    }
  }
}

function isAt(node: { bytes: Uint8Array; length: number }, bytes: Uint8Array, length: number): boolean {
  return node.length === length && commonBits(node.bytes, bytes, length) === length;
}

function bitAt(bytes: Uint8Array, bit: number): 0 | 1 {
  return (((bytes[bit >> 3] as number) >> (7 - (bit & 7))) & 1) as 0 | 1;
}

/** How many of the first `limit` bits are the same. */
export function commonBits(a: Uint8Array, b: Uint8Array, limit: number): number {
  for (let i = 0; i << 3 < limit; i++) {
    const different = (a[i] as number) ^ (b[i] as number);
    if (different !== 0) return Math.min(limit, (i << 3) + Math.clz32(different) - 24);
  }
  return limit;
}
