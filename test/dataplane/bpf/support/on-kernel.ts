/** What tests of the data plane on the real kernel share: a node for each test, one pod's state, and what runs behind its interface. */
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, expect } from 'vitest';
import { abiOf } from '../../../../src/dataplane/bpf/abi.ts';
import { readTable } from '../../../../src/dataplane/bpf/copies.ts';
import { SIDES } from '../../../../src/dataplane/bpf/object.ts';
import { type OpenedBpfDataplane, openBpfDataplane } from '../../../../src/dataplane/bpf/open.ts';
import { makeTables, u32Bytes } from '../../../../src/dataplane/bpf/tables.ts';
import type { DesiredState } from '../../../../src/dataplane/contract.ts';
import type { Address } from '../../../../src/model/address.ts';
import type { ObjectKey } from '../../../../src/model/cluster.ts';
import type { Binding } from '../../../../src/model/links.ts';
import { type BpfObject, listTc } from '../../../../src/native.ts';
import { KernelNode } from './kernel-node.ts';
import { worldState } from './world-state.ts';

/** A fresh node before each test, which must leave no trace after it. */
export class NodePerTest {
  #node: KernelNode | undefined;
  #opened: OpenedBpfDataplane | undefined;

  constructor() {
    beforeEach(({ task }) => {
      this.#node = new KernelNode(task.id.replaceAll(/\W/g, ''));
      this.#opened = undefined;
    });
    afterEach(async () => {
      this.#opened?.close();
      await this.node.cleanup();
      expect(existsSync(this.node.directory)).toBe(false);
    });
  }

  get node(): KernelNode {
    return this.#node as KernelNode;
  }

  /** Closed after the test. */
  async open(more = {}): Promise<OpenedBpfDataplane> {
    this.#opened = await openBpfDataplane(this.node.options(more));
    return this.#opened;
  }
}

/** One pod behind an interface, which anyone may reach on these ports alone. */
export function isolatedAt(ifindex: number, ports: readonly number[], address = '10.0.0.1'): DesiredState {
  const state = worldState({ pods: [], rules: [{ peers: 'anyone', ports }] });
  const pod = 'ns/server' as ObjectKey;
  const addresses = [address as Address];
  const endpoints = new Map([...state.compiled.endpoints].map(([key, endpoint]) => [key, { ...endpoint, addresses }]));
  const link = { ifindex, name: 'veth', addresses };
  return {
    ...state,
    compiled: { ...state.compiled, endpoints },
    bindings: new Map([[ifindex, { kind: 'endpoint', link, pod, linkLocal: [] }]]),
  };
}

/** The same for a pod of another name. */
export function renamed(state: DesiredState): DesiredState {
  const pod = 'ns/other' as ObjectKey;
  const endpoints = new Map([...state.compiled.endpoints.values()].map((endpoint) => [pod, { ...endpoint, pod }]));
  const bindings = new Map([...state.bindings].map(([ifindex, binding]) => [ifindex, { ...binding, pod } as Binding]));
  return { ...state, compiled: { ...state.compiled, endpoints }, bindings };
}

export function programsOn(ifindex: number): ReturnType<typeof listTc> {
  return [...listTc(ifindex, 'ingress'), ...listTc(ifindex, 'egress')];
}

/** Ids of the tables of IPv4 flows that endpoints have in either copy: to list a map of maps takes minutes on some kernels. */
export function tablesOf({ object }: { readonly object: BpfObject }): (number | undefined)[] {
  const { endpoints } = makeTables(abiOf(object.layout));
  const slots = SIDES.flatMap((side) => [...readTable(object.map(`endpoints_${side}`), endpoints).keys()]);
  return [...new Set(slots)].map((slot) => object.map('flows4').get(u32Bytes(slot))?.readUInt32LE());
}
