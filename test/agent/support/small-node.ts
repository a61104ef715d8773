/**
 * One node without a lab: a bridge with pods that come and go one by one, at indexes that a test chooses, and questions
 * that are answered within a millisecond, so that a test can ask all the time.
 */
import { writeFileSync } from 'node:fs';
import { runSync } from '../../../src/child-process.ts';
import type { Station } from '../../../src/lab/probing/station.ts';
import type { Address } from '../../../src/model/address.ts';
import { BpfError, netlink, netns, socket } from '../../../src/native.ts';
import { makeTcpPatient } from '../../support/kernel/patient-tcp.ts';
import { PATIENCE } from '../../support/patience.ts';

export const GATEWAY = '10.66.0.1' as Address;
/** Every pod listens there over UDP. */
const PORT = 7000;
/** What the node's own kernel sends a pod always arrives, so after it nothing is on its way any more. */
const FENCE = Buffer.from('fence');
const FENCE_MS = 200;

export interface PodOptions {
  /** Of the host's end of its veth; the kernel's choice when absent. */
  readonly ifindex?: number;
  /** Of the network; default: none. */
  readonly interfaces?: readonly string[];
}

interface SmallPod extends Station {
  readonly ifindex: number;
  readonly listener: number;
}

let count = 0;

export class SmallNode implements Disposable {
  readonly namespace = `slv-${process.pid}-agent${count++}`;
  readonly #pods = new Map<string, SmallPod>();
  readonly #neighbours = new Set<string>();
  #closed = false;
  readonly #onExit = () => this[Symbol.dispose]();

  constructor() {
    runSync('ip', ['netns', 'add', this.namespace]);
    process.on('exit', this.#onExit);
    netns.run(this.namespace, () => {
      writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
      ip([
        'link set lo up',
        `link add cni0 address ${macOf(GATEWAY)} type bridge mcast_snooping 0`,
        `address add ${GATEWAY}/24 dev cni0`,
        'link set cni0 up',
      ]);
    });
  }

  /** Has conntrack follow what passes between pods, as on nodes with kube-proxy's rules and Flannel's setting. */
  track(): void {
    netns.run(this.namespace, () => {
      writeFileSync('/proc/sys/net/bridge/bridge-nf-call-iptables', '1');
      runSync('iptables', ['-w', '-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'ESTABLISHED', '-j', 'ACCEPT']);
    });
  }

  /** Makes a pod as a CNI plugin does: its namespace, its veth on the bridge, its address. */
  addPod(name: string, address: string, options: PodOptions = {}): SmallPod {
    const namespace = `${this.namespace}-${name}`;
    const { ifindex, interfaces = [] } = options;
    runSync('ip', ['netns', 'add', namespace]);
    const index = ifindex === undefined ? '' : `index ${ifindex}`;
    const extra = interfaces.map((device) => [
      `link add ${vethOf(`${name}${device}`)} type veth peer name ${device} netns ${namespace}`,
      `link set ${vethOf(`${name}${device}`)} up`,
    ]);
    this.ip([
      `link add ${vethOf(name)} ${index} type veth peer name eth0 address ${macOf(address)} netns ${namespace}`,
      `link set ${vethOf(name)} master cni0 up`,
      ...extra.flat(),
      `neigh replace ${address} lladdr ${macOf(address)} dev cni0 nud permanent`,
    ]);
    netns.run(namespace, () => {
      makeTcpPatient();
      ip([
        'link set lo up',
        'link set eth0 up',
        `address add ${address}/24 dev eth0`,
        `route add default via ${GATEWAY}`,
        `neigh replace ${GATEWAY} lladdr ${macOf(GATEWAY)} dev eth0 nud permanent`,
        ...interfaces.map((device) => `link set ${device} up`),
      ]);
    });
    const listener = netns.run(namespace, () => socket.open({ family: 4, type: 'udp', bind: { address, port: PORT } }));
    const pod: SmallPod = {
      kind: 'pod',
      namespace,
      address: address as Address,
      name: `shop/${name}`,
      ifindex: this.ifindexOf(vethOf(name)),
      listener,
    };
    this.#pods.set(name, pod);
    return pod;
  }

  /** @returns the index that its interface had */
  removePod(name: string): number {
    const pod = this.pod(name);
    socket.close(pod.listener);
    this.#pods.delete(name);
    for (const pair of this.#neighbours) if (pair.split(' ').includes(name)) this.#neighbours.delete(pair);
    this.ip([`link del ${vethOf(name)}`]);
    runSync('ip', ['netns', 'delete', pod.namespace]);
    return pod.ifindex;
  }

  pod(name: string): SmallPod {
    const pod = this.#pods.get(name);
    if (pod === undefined) throw new Error(`there is no pod ${name}`);
    return pod;
  }

  get pods(): readonly string[] {
    return [...this.#pods.keys()];
  }

  /** Runs commands of iproute2 on the node. */
  ip(lines: readonly string[]): void {
    netns.run(this.namespace, () => ip(lines));
  }

  ifindexOf(device: string): number {
    const link = netns.run(this.namespace, () => netlink.links()).find(({ name }) => name === device);
    if (link === undefined) throw new Error(`there is no ${device}`);
    return link.ifindex;
  }

  /**
   * Whether a first datagram from one pod gets to another one now. Blocks for a fraction of a millisecond.
   * @throws Error nothing gets there at all, not from the node either
   */
  reaches(from: string, to: string): boolean {
    const [source, target] = [this.pod(from), this.pod(to)];
    this.#introduce(from, to);
    const question = Buffer.from(`${from} ${asked++}`);
    const bind = { address: source.address };
    const fd = netns.run(source.namespace, () => socket.open({ family: 4, type: 'udp', bind }));
    try {
      socket.send(fd, question, { address: target.address, port: PORT });
    } finally {
      socket.close(fd);
    }
    return this.#receivedBeforeFence(target, question);
  }

  /** Resolves when what the node sends gets to the pod: its interface carries, and is not closed. */
  async whenUp(name: string): Promise<void> {
    for (;;) {
      try {
        this.#receivedBeforeFence(this.pod(name), Buffer.alloc(0), 20);
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  }

  /** Whether anything that the node sends gets to the pod within some time. */
  hears(name: string): boolean {
    try {
      this.#receivedBeforeFence(this.pod(name), Buffer.alloc(0), FENCE_MS);
      return true;
    } catch {
      return false;
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off('exit', this.#onExit);
    for (const { listener } of this.#pods.values()) socket.close(listener);
    const names = [...[...this.#pods.values()].map(({ namespace }) => namespace), this.namespace];
    runSync('ip', ['-force', '-batch', '-'], { input: names.map((name) => `netns delete ${name}`).join('\n') });
  }

  /** No question has to wait for ARP: what is queued behind it would come after the fence. */
  #introduce(from: string, to: string): void {
    const pair = `${from} ${to}`;
    if (this.#neighbours.has(pair)) return;
    const { address } = this.pod(to);
    netns.run(this.pod(from).namespace, () => {
      ip([`neigh replace ${address} lladdr ${macOf(address)} dev eth0 nud permanent`]);
    });
    this.#neighbours.add(pair);
  }

  #receivedBeforeFence({ address, listener }: SmallPod, question: Buffer, patience = PATIENCE): boolean {
    const number = Buffer.concat([FENCE, Buffer.from(` ${asked++}`)]);
    const fd = netns.run(this.namespace, () => socket.open({ family: 4, type: 'udp', bind: { address: GATEWAY } }));
    try {
      socket.send(fd, number, { address, port: PORT });
    } finally {
      socket.close(fd);
    }
    let received = false;
    const deadline = performance.now() + patience;
    for (;;) {
      const datagram = receive(listener, Math.max(1, deadline - performance.now()));
      if (datagram === undefined) throw new Error(`the node does not reach ${address}`);
      if (datagram.equals(question)) received = true;
      if (datagram.equals(number)) return received;
    }
  }
}

let asked = 0;

/** An ICMP error about something earlier is no answer. */
function receive(fd: number, timeoutMs: number): Buffer | undefined {
  try {
    return socket.receive(fd, Math.ceil(timeoutMs))?.data;
  } catch (error) {
    if (error instanceof BpfError && error.code === 'ECONNREFUSED') return Buffer.alloc(0);
    throw error;
  }
}

function ip(lines: readonly string[]): void {
  runSync('ip', ['-batch', '-'], { input: lines.join('\n') });
}

function vethOf(name: string): string {
  return `v${name}`;
}

/** Of IPv4. */
function macOf(address: string): string {
  const bytes = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return ['0a', '58', ...bytes].join(':');
}
