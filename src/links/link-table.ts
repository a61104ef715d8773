/**
 * One dump of the node's interfaces and the events since -> the interfaces as they are. A dump waits for the kernel's network
 * lock, which is held for milliseconds at a time while programs are attached; an event has all that a dump would say.
 */
import type { netlink } from '../native.ts';

type LinkEvent = Extract<netlink.NetlinkEvent, { kind: 'link' }>;

export class LinkTable {
  #links = new Map<number, netlink.Link>();
  #gone = new Set<number>();
  #doubtful = new Set<number>();

  /** In the order of their indexes. */
  get links(): readonly netlink.Link[] {
    return [...this.#links.values()].sort((a, b) => a.ifindex - b.ifindex);
  }

  /** What the kernel says is all there is. Events that are older than it may still be noted: the last one of each says the same. */
  replace(links: readonly netlink.Link[]): void {
    const now = new Map(links.map((link) => [link.ifindex, link]));
    for (const ifindex of this.#links.keys()) if (!now.has(ifindex)) this.#gone.add(ifindex);
    this.#links = now;
    this.#doubtful.clear();
  }

  note({ link, removed, netnsId, movedTo }: LinkEvent): void {
    const { ifindex } = link;
    if (netnsId === undefined) {
      this.#doubtful.delete(ifindex);
      if (removed) this.#links.delete(ifindex);
      else this.#links.set(ifindex, link);
      if (removed) this.#gone.add(ifindex);
    }
    if (removed) this.#leave(ifindex, netnsId, movedTo);
  }

  /** The other end of a veth went to another namespace, of which our end says nothing; or both ends go, ours next. */
  #leave(ifindex: number, netnsId: number | undefined, movedTo: LinkEvent['movedTo']): void {
    for (const link of this.#links.values()) {
      if (link.kind !== 'veth' || link.peerIndex !== ifindex || link.peerNetnsId !== netnsId) continue;
      if (netnsId === undefined && movedTo !== undefined) {
        this.#links.set(link.ifindex, { ...link, peerIndex: movedTo.ifindex, peerNetnsId: movedTo.netnsId });
      } else this.#doubtful.add(link.ifindex);
    }
  }

  /** Of some interface that is there it is not known where its other end is: ask the kernel. */
  get isDoubtful(): boolean {
    return this.#doubtful.size > 0;
  }

  /** Indexes that went since the last call; one that is there belongs to another interface now. */
  takeGone(): ReadonlySet<number> {
    const gone = this.#gone;
    this.#gone = new Set();
    return gone;
  }
}
