/**
 * A kubelet as far as the manifests of deploy/ need one: takes the DaemonSets' pods that are meant for its node, runs their containers
 * from staged files, asks their readiness probe, tells the API server, and ends them when they are deleted.
 */
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { NamespacedClient } from '../support/control-plane/client.ts';
import type { ControlPlane } from '../support/control-plane/control-plane.ts';
import { ContainerProcess, type NodeFiles } from './container.ts';
import type { Container, Manifest, PodTemplate } from './support.ts';

const PODS = '/api/v1/namespaces/kube-system/pods';
const DAEMON_SETS = '/apis/apps/v1/namespaces/kube-system/daemonsets';
const LOOK_MS = 100;

export interface KubeletOptions {
  readonly plane: ControlPlane;
  readonly node: string;
  readonly namespace: string;
  readonly files: NodeFiles;
  /** Name of an image -> its files. */
  readonly images: ReadonlyMap<string, string>;
  /** In place of the mounted token. */
  readonly kubeconfig: string;
  /** Told when a pod of a DaemonSet becomes ready, and when it is ended. */
  readonly onChange: (change: string) => void;
}

interface ApiPod {
  readonly metadata: Manifest['metadata'] & {
    readonly deletionTimestamp?: string;
    readonly ownerReferences: readonly { readonly name: string }[];
  };
  readonly spec: PodTemplate['spec'] & { readonly nodeName?: string; readonly affinity: unknown };
}

export class Kubelet implements AsyncDisposable {
  readonly #options: KubeletOptions;
  readonly #client: NamespacedClient;
  readonly #pods = new Map<string, RunningPod>();
  readonly #loop: Promise<void>;
  #closed = false;

  constructor(options: KubeletOptions) {
    this.#options = options;
    this.#client = new NamespacedClient(options.namespace);
    this.#loop = this.#run();
  }

  /** The container that runs for a DaemonSet. */
  container(daemonSet: string): ContainerProcess | undefined {
    return [...this.#pods.values()].find(({ owner }) => owner === daemonSet)?.container;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const owners = new Set((await this.#list(DAEMON_SETS)).map(({ metadata }) => metadata.name));
      const pods = (await this.#list(PODS)) as unknown as ApiPod[];
      for (const pod of pods.filter(({ spec }) => JSON.stringify(spec.affinity).includes(`"${this.#options.node}"`))) {
        const { name, deletionTimestamp, ownerReferences } = pod.metadata;
        const owner = ownerReferences[0]?.name ?? '';
        // Nobody else collects the pods of a DaemonSet that is gone.
        if (deletionTimestamp !== undefined || !owners.has(owner)) await this.#end(name);
        else if (!this.#pods.has(name)) await this.#begin(pod, owner);
        else await this.#probe(name);
      }
      await setTimeout(LOOK_MS);
    }
  }

  async #list(path: string): Promise<readonly Manifest[]> {
    return JSON.parse((await this.#options.plane.ask('GET', path)).body).items ?? [];
  }

  async #begin(pod: ApiPod, owner: string): Promise<void> {
    const { plane, node } = this.#options;
    const { name } = pod.metadata;
    const target = { apiVersion: 'v1', kind: 'Node', name: node };
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target };
    await plane.ask('POST', `${PODS}/${name}/binding`, JSON.stringify(binding));
    this.#pods.set(name, new RunningPod(pod, owner, this.#options));
  }

  async #probe(name: string): Promise<void> {
    const pod = this.#pods.get(name);
    if (pod?.container === undefined || pod.ready) return;
    const { readinessProbe: probe } = pod.spec.containers[0];
    if (probe !== undefined) {
      const url = `http://127.0.0.1:9971${probe.httpGet.path}`;
      if ((await this.#client.ask({ method: 'GET', url })).status !== 200) return;
    }
    pod.ready = true;
    this.#options.onChange(`${pod.owner} is ready on ${this.#options.node}`);
    const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString() }];
    const body = JSON.stringify({ status: { phase: 'Running', conditions } });
    await this.#options.plane.ask('PATCH', `${PODS}/${name}/status`, body, 'application/merge-patch+json');
  }

  async #end(name: string): Promise<void> {
    const pod = this.#pods.get(name);
    if (pod !== undefined) this.#options.onChange(`${pod.owner} ends on ${this.#options.node}`);
    await pod?.end();
    this.#pods.delete(name);
    await this.#options.plane.ask('DELETE', `${PODS}/${name}?gracePeriodSeconds=0`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#loop;
    for (const pod of this.#pods.values()) await pod.end();
    await this.#client[Symbol.asyncDispose]();
  }
}

/** Its init containers, each until it has ended well, then its container. */
class RunningPod {
  readonly owner: string;
  readonly spec: ApiPod['spec'];
  ready = false;
  container: ContainerProcess | undefined;
  readonly #options: KubeletOptions;
  readonly #started: Promise<void>;
  #ended = false;

  constructor({ spec }: ApiPod, owner: string, options: KubeletOptions) {
    this.spec = spec;
    this.owner = owner;
    this.#options = options;
    this.#started = this.#start();
  }

  async #start(): Promise<void> {
    const { initContainers = [], containers } = this.spec;
    for (const container of initContainers) {
      while (!this.#ended && (await this.#contain(container).ended) !== 'exited with 0') await setTimeout(LOOK_MS);
    }
    if (!this.#ended) this.container = this.#contain(containers[0]);
  }

  #contain(container: Container): ContainerProcess {
    const { images, kubeconfig, ...where } = this.#options;
    const tree = images.get(container.image);
    if (tree === undefined) throw new Error(`there is no image ${container.image}`);
    const isAgent = container.args?.[0] === 'agent';
    return new ContainerProcess({
      ...where,
      tree,
      pod: { ...this.spec, volumes: this.spec.volumes ?? [] },
      container: { ...container, volumeMounts: container.volumeMounts ?? [], args: container.args ?? [] },
      ...(isAgent && { args: ['--kubeconfig', kubeconfig], more: [dirname(kubeconfig)] }),
    });
  }

  /** The first process of a container hears no signal that it does not ask for; those are killed after their grace period. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#started;
    const isAgent = this.container?.running === true && this.owner === 'selvedge';
    await this.container?.stop(isAgent ? 'SIGTERM' : 'SIGKILL');
  }
}
