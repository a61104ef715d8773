/**
 * The stack of the programs as kernels before private stacks count it (x86: 6.13, arm64: 6.17): 512 bytes for the deepest
 * chain of calls, each frame rounded up to 32. A newer kernel loads what an older one refuses, so it is counted here.
 */
import { expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';

const OBJECT = new URL('../../build/policy.bpf.o', import.meta.url).pathname;
const PROGRAMS = ['from_pod', 'to_pod', 'to_node', 'to_node_l3'];
const MOST = 512;
const ROUNDED = 32;

interface Frame {
  readonly name: string;
  /** Bytes below r10 that are written to or pointed at. */
  depth: number;
  readonly calls: string[];
}

interface Call {
  readonly from: Frame;
  readonly section: string;
  readonly at: number;
  readonly offset: number;
}

/** Of each function, by llvm-objdump: where it begins, how much of the stack it uses, whom it calls. */
function framesOf(text: string): Map<string, Frame> {
  const frames = new Map<string, Frame>();
  const begins = new Map<string, string>();
  const inSection: Call[] = [];
  let section = '';
  let frame: Frame | undefined;
  let pointer = '';
  let pending: Call | undefined;
  const settle = () => {
    if (pending !== undefined) inSection.push(pending);
    pending = undefined;
  };
  for (const line of text.split('\n')) {
    const [, newSection] = /^Disassembly of section (.*):/.exec(line) ?? [];
    const [, address, name] = /^([0-9a-f]+) <(?!LBB)(.*)>:$/.exec(line) ?? [];
    if (newSection !== undefined) section = newSection;
    if (address !== undefined && name !== undefined) {
      settle();
      frame = { name, depth: 0, calls: [] };
      frames.set(name, frame);
      begins.set(`${section} ${Number.parseInt(address, 16)}`, name);
    }
    if (frame === undefined) continue;
    const [, copied] = /(r\d) = r10$/.exec(line) ?? [];
    const [, moved, by] = /(r\d) \+= -(\w+)$/.exec(line) ?? [];
    const [, direct] = /r10 - (\w+)/.exec(line) ?? [];
    frame.depth = Math.max(frame.depth, Number(direct ?? 0), moved === pointer ? Number(by) : 0);
    pointer = copied ?? pointer;
    const [, target] = /R_BPF_64_32\s+(\S+)/.exec(line) ?? [];
    if (target !== undefined && pending !== undefined) {
      // To a section, by the place in it; to a global function, by its name.
      if (target.startsWith('.') || target === section) inSection.push({ ...pending, section: target, at: 0 });
      else frame.calls.push(target);
      pending = undefined;
    }
    const [, at, offset] = /^\s*(\d+):\s+call (-?\w+)$/.exec(line) ?? [];
    if (at !== undefined) {
      settle();
      pending = { from: frame, section, at: Number(at), offset: signed(offset as string) };
    }
  }
  settle();
  for (const { from, section, at, offset } of inSection) {
    const callee = begins.get(`${section} ${(at + 1 + offset) * 8}`);
    if (callee !== undefined) from.calls.push(callee);
  }
  return frames;
}

function signed(text: string): number {
  return text.startsWith('-') ? -Number(text.slice(1)) : Number(text);
}

/** The deepest chain that begins there. */
function deepest(frames: ReadonlyMap<string, Frame>, name: string): { bytes: number; chain: string } {
  const { depth, calls } = frames.get(name) as Frame;
  const below = calls.filter((callee) => frames.has(callee)).map((callee) => deepest(frames, callee));
  const longest = below.reduce((one, other) => (other.bytes > one.bytes ? other : one), { bytes: 0, chain: '' });
  const own = Math.ceil(Math.max(depth, 1) / ROUNDED) * ROUNDED;
  return { bytes: own + longest.bytes, chain: `${name} ${depth}${longest.chain && ` → ${longest.chain}`}` };
}

it('no chain of calls takes more of the stack than older kernels grant', () => {
  const frames = framesOf(runSync('llvm-objdump', ['-dr', '--no-show-raw-insn', OBJECT]));
  const chains = PROGRAMS.map((name) => deepest(frames, name));
  // Else the calls were not read.
  expect(Math.max(...chains.map(({ bytes }) => bytes))).toBeGreaterThan(256);
  for (const { bytes, chain } of chains) expect(bytes, chain).toBeLessThanOrEqual(MOST);
});
