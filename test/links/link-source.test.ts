import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import type { NodeLinks } from '../../src/model/links.ts';
import { netns } from '../../src/native.ts';
import { linksOf } from '../support/kernel/links-of.ts';
import { describeAsRoot } from '../support/privilege.ts';

let count = 0;
const namespaces: string[] = [];
const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
  for (const name of namespaces.splice(0)) runSync('ip', ['netns', 'delete', name]);
});

function makeNamespace(): string {
  const name = `slv-${process.pid}-links${count++}`;
  runSync('ip', ['netns', 'add', name]);
  namespaces.push(name);
  return name;
}

function ip(namespace: string, ...lines: string[]): void {
  runSync('ip', ['-n', namespace, '-batch', '-'], { input: lines.join('\n') });
}

/** Follows a namespace from a thread of its own. */
class Follower {
  /** All that was told, and the indexes that were told to have gone. */
  last: NodeLinks | undefined;
  readonly gone = new Set<number>();
  missed = false;
  readonly #namespace: string;
  readonly #worker: Worker;
  readonly #gate = new Int32Array(new SharedArrayBuffer(8));
  #fences = 0;
  #look = () => {};

  constructor(namespace: string) {
    this.#namespace = namespace;
    this.#worker = new Worker(new URL('./fixtures/follow.ts', import.meta.url), {
      workerData: { namespace, gate: this.#gate },
    });
    workers.push(this.#worker);
    this.#worker.on('message', (links: NodeLinks) => {
      this.last = links;
      for (const ifindex of links.gone) this.gone.add(ifindex);
      this.missed ||= links.missed === true;
      this.#look();
    });
  }

  /** Resolves once the follower has told something that fits. */
  async until(fits: (links: NodeLinks) => boolean): Promise<NodeLinks> {
    for (;;) {
      if (this.last !== undefined && fits(this.last)) return this.last;
      await new Promise<void>((resolve) => {
        this.#look = resolve;
      });
    }
  }

  /** Resolves once all that has happened until now was told: events come in their order. */
  async caughtUp(): Promise<NodeLinks> {
    const name = `fence${this.#fences++}`;
    ip(this.#namespace, `link add ${name} type bridge`);
    return this.until(({ exits }) => [...exits.values()].some((link) => link.name === name));
  }

  /** It hears nothing while this runs. */
  async deafWhile(work: () => void): Promise<void> {
    this.#gate.fill(0);
    this.#worker.postMessage('wait');
    const stopped = Atomics.waitAsync(this.#gate, 0, 0);
    await stopped.value;
    work();
    Atomics.store(this.#gate, 1, 1);
    Atomics.notify(this.#gate, 1);
  }
}

function lasting({ pods, exits, ownAddresses }: NodeLinks) {
  return { pods, exits, ownAddresses };
}

describeAsRoot('what is followed is what the kernel says when it is asked anew', () => {
  test('pods whose plugins make the veth in either namespace, or move an end of it', async () => {
    const [node, a, b, c] = [makeNamespace(), makeNamespace(), makeNamespace(), makeNamespace()];
    ip(node, 'link add cni0 type bridge', 'link set cni0 up');
    const follower = new Follower(node);
    await follower.caughtUp();
    ip(node, `link add va type veth peer name eth0 netns ${a}`, 'link set va master cni0 up');
    ip(a, 'address add 10.1.0.1/24 dev eth0', 'link set eth0 up');
    ip(b, `link add eth0 type veth peer name vb netns ${node}`, 'address add 10.1.0.2/24 dev eth0', 'link set eth0 up');
    ip(node, 'link set vb up');
    ip(node, 'link add vc type veth peer name ec', `link set ec netns ${c}`, 'link set vc up');
    ip(c, 'link set ec name eth0', 'address add 10.1.0.3/24 dev eth0', 'link set eth0 up');
    const links = await follower.caughtUp();
    expect(lasting(links)).toEqual(lasting(linksOf(node)));
    expect([...links.pods.values()].map(({ name, addresses }) => [name, addresses[0]])).toEqual([
      ['va', '10.1.0.1'],
      ['vb', '10.1.0.2'],
      ['vc', '10.1.0.3'],
    ]);
  });

  test('the other end goes on to a third namespace, or comes home', async () => {
    const [node, a, b] = [makeNamespace(), makeNamespace(), makeNamespace()];
    const follower = new Follower(node);
    ip(node, `link add va type veth peer name ea netns ${a}`, `link add vb type veth peer name eb netns ${a}`);
    ip(a, `link set ea netns ${b}`, `link set eb netns ${node}`);
    ip(b, 'address add 10.1.0.9/24 dev ea');
    const links = await follower.caughtUp();
    expect(lasting(links)).toEqual(lasting(linksOf(node)));
    expect([...links.pods.values()]).toMatchObject([{ name: 'va', addresses: ['10.1.0.9'] }]);
  });

  test('names, bridges and addresses that change, an interface that is made anew with its index', async () => {
    const [node, a] = [makeNamespace(), makeNamespace()];
    ip(node, 'link add cni0 type bridge', `link add va index 4000 type veth peer name eth0 netns ${a}`);
    ip(node, 'link add out0 type bridge', 'address add 10.9.0.1/24 dev out0');
    const follower = new Follower(node);
    await follower.caughtUp();
    ip(node, 'link set va name vx', 'link set vx master cni0', 'address del 10.9.0.1/24 dev out0');
    ip(node, 'link del vx', `link add vy index 4000 type veth peer name eth0 netns ${a}`, 'link del out0');
    ip(node, 'address add 10.9.0.2/24 dev cni0', 'link set vy master cni0', 'link set vy nomaster');
    const links = await follower.caughtUp();
    expect(lasting(links)).toEqual(lasting(linksOf(node)));
    expect([...links.pods.values()]).toMatchObject([{ ifindex: 4000, name: 'vy' }]);
    expect(follower.gone).toContain(4000);
  });

  test('more happens than the kernel has room to tell', async () => {
    const [node, a] = [makeNamespace(), makeNamespace()];
    const follower = new Follower(node);
    await follower.caughtUp();
    const gone = netns.run(node, () => linksOf(node)).exits;
    await follower.deafWhile(() => {
      const renames = Array.from({ length: 2_000 }, (_, i) => `link set fence0 mtu ${1_000 + (i % 400)}`);
      ip(node, ...renames, `link add va type veth peer name eth0 netns ${a}`, 'link del fence0');
      ip(a, 'address add 10.1.0.1/24 dev eth0');
    });
    await follower.until(({ pods }) =>
      [...pods.values()].some(({ addresses }) => addresses.includes('10.1.0.1' as never)),
    );
    const links = await follower.caughtUp();
    expect(follower.missed).toBe(true);
    expect(lasting(links)).toEqual(lasting(linksOf(node)));
    expect([...follower.gone]).toEqual(expect.arrayContaining([...gone.keys()]));
  });
});
