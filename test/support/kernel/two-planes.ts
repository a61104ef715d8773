/** One lab whose nodes are enforced from this process, by one data plane after the other: the same pods, veths and questions. */

import { Compiler } from '../../../src/compile/compiler.ts';
import type { Dataplane } from '../../../src/dataplane/contract.ts';
import { cleanupIpsetDataplane, openIpsetDataplane } from '../../../src/dataplane/ipset/open.ts';
import type { Variant } from '../../../src/dataplane/ipset/programs.ts';
import { clusterOf } from '../../../src/lab/cluster-view.ts';
import { Lab, type NodeInterfaces } from '../../../src/lab/lab.ts';
import { Bindings } from '../../../src/links/bindings.ts';
import type { ClusterObject } from '../../../src/model/cluster.ts';
import { netns } from '../../../src/native.ts';
import { attachmentsIn, openTestDataplane } from './dataplanes.ts';
import { linksOf } from './links-of.ts';

/** `nft`, `legacy`: ipset with that variant of iptables. */
export type PlaneName = 'bpf' | Variant;

interface Opened {
  readonly dataplane: Dataplane;
  /** Takes every trace of it off the node. */
  remove(): Promise<unknown>;
}

export class TwoPlanes {
  readonly lab: Lab;
  readonly #objects: readonly ClusterObject[];
  #opened: readonly Opened[] = [];

  private constructor(lab: Lab, objects: readonly ClusterObject[]) {
    this.lab = lab;
    this.#objects = objects;
  }

  static async start(objects: readonly ClusterObject[]): Promise<TwoPlanes> {
    return new TwoPlanes(await Lab.start({ cluster: clusterOf(objects), backend: 'vxlan' }), objects);
  }

  /** Resolves when the new one is in force on all nodes, and after that the one before is gone. */
  async enforce(plane: PlaneName): Promise<void> {
    const before = this.#opened;
    this.#opened = await Promise.all(this.lab.interfaces().map((node) => this.#enforceOn(node, plane)));
    await Promise.all(before.map(({ remove }) => remove()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map(({ remove }) => remove()));
    this.lab.close();
  }

  async #enforceOn({ node, namespace }: NodeInterfaces, plane: PlaneName): Promise<Opened> {
    const opened = await (plane === 'bpf' ? openBpf(namespace) : openIpset(namespace, plane));
    const compiler = new Compiler({ node });
    compiler.apply(this.#objects.map((object) => ({ type: 'upsert', object })));
    const compiled = compiler.state;
    const { exits, ownAddresses, ...links } = linksOf(namespace);
    const bindings = new Bindings('closed').update({ ...links, ownAddresses }, compiled);
    await opened.dataplane.apply({ compiled, bindings, exits, ownAddresses, pending: 'closed' }, undefined);
    return opened;
  }
}

async function openBpf(namespace: string): Promise<Opened> {
  const { dataplane, remove } = await openTestDataplane({
    replace: (kernel) => ({ attachments: attachmentsIn(namespace, kernel.attachments) }),
  });
  return { dataplane, remove: async () => remove() };
}

async function openIpset(namespace: string, variant: Variant): Promise<Opened> {
  const within = <T>(start: () => T) => netns.run(namespace, start);
  const { dataplane } = await openIpsetDataplane({ auditEvery: 0, setSysctls: true, variant, within });
  const remove = async () => {
    dataplane.close();
    await cleanupIpsetDataplane({ within });
  };
  return { dataplane, remove };
}
