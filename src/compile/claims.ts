/** Which pods have an address. More than one may claim it for a moment, while it passes from pod to pod. */
import type { Address } from '../model/address.ts';
import type { Pod } from '../model/cluster.ts';

/** The addresses that are the pod's own: none when it lives in the node's network, or when they may be another's already. */
export function claimedBy(pod: Pod | undefined): readonly Address[] {
  return pod === undefined || pod.hostNetwork || pod.finished ? [] : pod.addresses;
}

export class Claims {
  // One pod almost always, so an array is made only for a second one.
  readonly #pods = new Map<Address, Pod | readonly Pod[]>();

  get size(): number {
    return this.#pods.size;
  }

  of(address: Address): Pod | readonly Pod[] | undefined {
    return this.#pods.get(address);
  }

  add(address: Address, pod: Pod): void {
    const claim = this.#pods.get(address);
    if (claim === undefined) this.#pods.set(address, pod);
    else if (!listOf(claim).includes(pod)) this.#pods.set(address, [...listOf(claim), pod]);
  }

  delete(address: Address, pod: Pod): void {
    const rest = listOf(this.#pods.get(address)).filter((claimant) => claimant !== pod);
    if (rest.length === 0) this.#pods.delete(address);
    else this.#pods.set(address, rest.length === 1 ? (rest[0] as Pod) : rest);
  }
}

function listOf(claim: Pod | readonly Pod[] | undefined): readonly Pod[] {
  if (claim === undefined) return [];
  return Array.isArray(claim) ? claim : [claim as Pod];
}
