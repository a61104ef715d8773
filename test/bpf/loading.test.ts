// The object as the kernel takes it: with and without conntrack, and with the maps' own code on the hot way.
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkAbi } from '../../src/dataplane/bpf/abi.ts';
import { u32Bytes } from '../../src/dataplane/bpf/tables.ts';
import { BpfObject } from '../../src/native.ts';
import { describeAsRoot } from '../support/privilege.ts';

const OBJECT = new URL('../../build/policy.bpf.o', import.meta.url).pathname;
const PROGRAMS = ['from_pod', 'to_pod', 'to_node', 'to_node_l3'] as const;
const INSTRUCTION = 8;
const CALL = 0x85;
/** src_reg of calls to functions of the program itself and to kfuncs. */
const HELPER = 0;

describe('the object', () => {
  it('tells user space every number and record of abi.h', () => {
    const object = BpfObject.open(OBJECT);
    try {
      expect(() => checkAbi(object)).not.toThrow();
    } finally {
      object.close();
    }
  });

  it('has records of the sizes that their members add up to: nothing is padded unseen', () => {
    const object = BpfObject.open(OBJECT);
    try {
      const abi = object.layout.structs.get('abi');
      const records = (abi?.members ?? [])
        .filter(({ kind }) => kind === 'struct')
        .map(({ struct }) => struct as string);
      expect(records).toHaveLength(24);
      for (const name of records) {
        const { size, members } = object.layout.structs.get(name) as {
          size: number;
          members: readonly { size: number }[];
        };
        expect({ name, size }).toEqual({ name, size: members.reduce((sum, member) => sum + member.size, 0) });
      }
    } finally {
      object.close();
    }
  });
});

describeAsRoot('the programs', () => {
  let object: BpfObject;
  beforeEach(() => {
    object = BpfObject.open(OBJECT);
  });
  afterEach(() => object.close());

  const load = (conntrack: number) => {
    object.setRodata('conntrack', u32Bytes(conntrack));
    object.load();
  };

  it.each([0, 1])('are accepted by the verifier, with room to spare, conntrack: %i', (conntrack) => {
    load(conntrack);
    for (const name of PROGRAMS) expect(object.program(name).info.verifiedInstructions).toBeLessThan(500_000);
  });

  it('call nothing of conntrack where it is not asked', () => {
    load(0);
    const without = object.program('to_pod').info.xlatedInstructions;
    object.close();
    object = BpfObject.open(OBJECT);
    load(1);
    expect(object.program('to_pod').info.xlatedInstructions).toBeGreaterThan(without);
  });

  it("look up by each map's own code, never by the general call", ({ skip }) => {
    const symbols = kernelSymbols();
    const base = symbols.get('__bpf_call_base');
    if (base === undefined || base === 0n) return skip('the kernel does not show its addresses (kptr_restrict)');
    const names = new Map([...symbols].map(([name, at]) => [at, name]));
    load(1);
    for (const program of PROGRAMS) {
      const called = new Set(
        helperCalls(object.program(program).xlated()).map((offset) => names.get(base + BigInt(offset))),
      );
      expect({ program, general: called.has('bpf_map_lookup_elem') }).toEqual({ program, general: false });
      expect([...called]).toContain('__htab_map_lookup_elem');
    }
  });
});

/** Of helpers, counted from __bpf_call_base. */
function helperCalls(instructions: Buffer): number[] {
  const calls: number[] = [];
  for (let at = 0; at < instructions.length; at += INSTRUCTION) {
    const registers = instructions.readUInt8(at + 1);
    if (instructions.readUInt8(at) === CALL && registers >> 4 === HELPER) calls.push(instructions.readInt32LE(at + 4));
  }
  return calls;
}

function kernelSymbols(): Map<string, bigint> {
  const lines = readFileSync('/proc/kallsyms', 'utf8').split('\n');
  return new Map(
    lines
      .filter((line) => line.includes(' '))
      .map((line) => {
        const [at, , name] = line.split(/\s/) as [string, string, string];
        return [name, BigInt(`0x${at}`)];
      }),
  );
}
