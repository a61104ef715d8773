/**
 * The hooks of bpf/bench.bpf.c over a PacketPath's maps, driven by threads: each runs one hook over and over in the kernel,
 * with another source port for each packet.
 */
import { Worker } from 'node:worker_threads';
import { u32Bytes } from '../../../src/dataplane/bpf/tables.ts';
import { BpfObject } from '../../../src/native.ts';
import type { PacketPath } from './packet-path.ts';

const OBJECT = new URL('../../../build/bench.bpf.o', import.meta.url).pathname;

export interface Stream {
  readonly hook: 'from_pod' | 'to_pod' | 'to_node';
  readonly packet: Uint8Array;
  readonly ifindex: number;
  readonly ingressIfindex?: number;
  readonly mark?: number;
  /** From 0 on, a power of two: ports of the source, or of the destination where that is said. */
  readonly ports: number;
  readonly of?: 'destination';
}

export interface FloodTask {
  readonly namespace: string;
  readonly programId: number;
  readonly packet: Uint8Array;
  readonly context: {
    readonly ifindex: number;
    readonly ingressIfindex: number;
    readonly cb: readonly [mark: number, ports: number, next: number, place: number, unused: number];
  };
  /** A shared word: not 0 ends it. */
  readonly stop: SharedArrayBuffer;
}

/** The programs; closed with the path's own object or before. */
export class Drivers implements Disposable {
  readonly #path: PacketPath;
  readonly #object: BpfObject;

  constructor(path: PacketPath) {
    this.#path = path;
    this.#object = BpfObject.open(OBJECT);
    const { maxEntries } = path.flowTable('web', 4).info;
    for (const name of ['flows4', 'flows6']) this.#object.setInnerMaxEntries(name, maxEntries);
    for (const name of this.#object.maps.keys())
      if (!name.startsWith('.')) this.#object.reuseMap(name, path.object.map(name));
    // A flood's events would only be lost; what it did is counted.
    this.#object.setRodata('event_mask', u32Bytes(0));
    this.#object.setRodata('conntrack', path.object.rodata('conntrack').bytes);
    this.#object.setRodata('flow_set_bits', u32Bytes(Math.log2(maxEntries)));
    this.#object.load();
  }

  /** Runs all streams at once, a thread for each, until `meanwhile` is over. @returns packets of each */
  async run(streams: readonly Stream[], meanwhile: () => Promise<void>): Promise<number[]> {
    const stop = new SharedArrayBuffer(4);
    const workers = streams.map((stream) => {
      const file = new URL('./flood-worker.ts', import.meta.url);
      return new Worker(file, { workerData: this.#task(stream, stop) });
    });
    const results = workers.map(
      (worker) =>
        new Promise<number>((resolve, reject) => {
          worker.on('error', reject);
          worker.on('message', (message: 'begun' | number) => message !== 'begun' && resolve(message));
        }),
    );
    await Promise.all(workers.map((worker) => new Promise((begun) => worker.once('message', begun))));
    try {
      await meanwhile();
    } finally {
      Atomics.store(new Int32Array(stop), 0, 1);
    }
    return Promise.all(results);
  }

  [Symbol.dispose](): void {
    this.#object.close();
  }

  #task(stream: Stream, stop: SharedArrayBuffer): FloodTask {
    const { hook, packet, ifindex, ingressIfindex = ifindex, mark = 0, ports, of } = stream;
    const place = (packet[12] === 0x08 ? 34 : 54) + (of === 'destination' ? 2 : 0);
    return {
      namespace: this.#path.namespace.name,
      programId: this.#object.program(`drive_${hook}`).info.id,
      packet,
      context: { ifindex, ingressIfindex, cb: [mark, ports, 0, place, 0] },
      stop,
    };
  }
}
