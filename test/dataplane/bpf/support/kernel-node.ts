/** A bpffs directory and veth pairs for one test on the real kernel, and packets to run through the programs. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cleanupBpfDataplane, type OpenOptions } from '../../../../src/dataplane/bpf/open.ts';
import { type Address, addressBytes, familyOf } from '../../../../src/model/address.ts';
import { isBpffs, mountBpffs, netlink, netns } from '../../../../src/native.ts';

export const OBJECT_PATH = fileURLToPath(new URL('../../../../build/policy.bpf.o', import.meta.url));
const BPFFS = '/sys/fs/bpf';

let entered = false;

/**
 * Puts this process into a network namespace of its own, once: in the machine's, an agent of somebody else attaches its
 * programs to our interfaces too.
 */
function enterOwnNamespace(): void {
  if (entered) return;
  entered = true;
  const name = `slv-${process.pid}-kernel`;
  execFileSync('ip', ['netns', 'add', name]);
  netns.enter(name);
  // It lives as long as this process; its name would outlive it, since a worker is killed in the end.
  execFileSync('ip', ['netns', 'delete', name]);
}

export class KernelNode {
  readonly directory: string;
  readonly #prefix: string;
  #veths = 0;

  constructor(name: string) {
    if (!isBpffs(BPFFS)) mountBpffs(BPFFS);
    enterOwnNamespace();
    this.directory = `${BPFFS}/selvedge-test-${process.pid}-${name}`;
    this.#prefix = `slv${process.pid % 100_000}${name.slice(0, 2)}`;
  }

  options(more: Partial<OpenOptions> = {}): OpenOptions {
    return { path: OBJECT_PATH, directory: this.directory, ...more };
  }

  /** @returns the index of a new veth's host end: the one that is asked for, if any */
  addVeth(index?: number): number {
    const name = `${this.#prefix}${this.#veths++}`;
    const wanted = index === undefined ? [] : ['index', `${index}`];
    execFileSync('ip', ['link', 'add', name, ...wanted, 'type', 'veth', 'peer', 'name', `${name}p`]);
    return netlink.links().find((link) => link.name === name)?.ifindex as number;
  }

  removeVeth(ifindex: number): void {
    const name = netlink.links().find((link) => link.ifindex === ifindex)?.name;
    if (name !== undefined) execFileSync('ip', ['link', 'delete', name]);
  }

  async cleanup(): Promise<void> {
    for (const { name, ifindex } of netlink.links()) {
      if (name.startsWith(this.#prefix) && !name.endsWith('p')) this.removeVeth(ifindex);
    }
    mkdirSync(this.directory, { recursive: true });
    await cleanupBpfDataplane(this.directory);
  }
}

export interface Syn {
  readonly source: Address;
  readonly destination: Address;
  readonly port: number;
  readonly protocol?: 'TCP' | 'UDP';
}

/** An opening packet: Ethernet, IP, and a TCP SYN or a UDP datagram. */
export function openingPacket({ source, destination, port, protocol = 'TCP' }: Syn): Buffer {
  const four = familyOf(source) === 4;
  const ethernet = Buffer.from(`0200000000010200000000020${four ? '800' : '000'}`, 'hex');
  if (!four) ethernet.writeUInt16BE(0x86dd, 12);
  const transport = protocol === 'TCP' ? Buffer.alloc(20) : Buffer.alloc(8);
  transport.writeUInt16BE(40_000, 0);
  transport.writeUInt16BE(port, 2);
  if (protocol === 'TCP') transport.writeUInt16BE(0x5002, 12);
  else transport.writeUInt16BE(8, 4);
  const number = protocol === 'TCP' ? 6 : 17;
  return Buffer.concat([ethernet, four ? ipv4(number) : ipv6(number), transport]);

  function ipv4(next: number): Buffer {
    const header = Buffer.alloc(20);
    header.writeUInt16BE(0x4500, 0);
    header.writeUInt16BE(20 + transport.length, 2);
    header.writeUInt16BE((64 << 8) | next, 8);
    return Buffer.concat([header.subarray(0, 12), addressBytes(source), addressBytes(destination)]);
  }

  function ipv6(next: number): Buffer {
    const header = Buffer.alloc(8);
    header.writeUInt8(0x60, 0);
    header.writeUInt16BE(transport.length, 4);
    header.writeUInt16BE((next << 8) | 64, 6);
    return Buffer.concat([header, addressBytes(source), addressBytes(destination)]);
  }
}
