/** The node's interfaces as the engine sees them: whose veth is whose, which ways lead out, which addresses are the node's own. */
import type { Address } from './address.ts';
import type { ObjectKey } from './cluster.ts';

/** The host's end of a veth whose other end is in another network namespace. */
export interface PodLink {
  readonly ifindex: number;
  readonly name: string;
  /** Addresses of the other end, as the kernel says now; a pod can add to them, so each is only a claim. */
  readonly addresses: readonly Address[];
}

/** An interface by which packets of pods leave the node: an uplink, flannel.1, another bridge. */
export interface ExitLink {
  readonly ifindex: number;
  readonly name: string;
  /** `10.9.0.1/24`: what makes a veth into another namespace a way out and no pod's. */
  readonly network?: string;
}

export interface NodeLinks {
  readonly pods: ReadonlyMap<number, PodLink>;
  readonly exits: ReadonlyMap<number, ExitLink>;
  /** Every address of the node itself, on any interface. */
  readonly ownAddresses: ReadonlySet<Address>;
  /** Indexes that were seen to go since the last listing; one that stands above as well belongs to another interface now. */
  readonly gone: ReadonlySet<number>;
  /** The kernel could not tell all that happened: any index may belong to another interface now. */
  readonly missed?: boolean;
  /** When the first event came that led to this listing, in milliseconds of the clock that only grows; absent for the first listing. */
  readonly since?: number;
}

/** What a pod link is taken for. */
export type Binding =
  | {
      readonly kind: 'endpoint';
      readonly link: PodLink;
      readonly pod: ObjectKey;
      readonly linkLocal: readonly Address[];
    }
  /** Not known yet, or in conflict: everything or nothing passes until it is. */
  | { readonly kind: 'pending'; readonly link: PodLink; readonly verdict: 'open' | 'closed'; readonly reason: string };
