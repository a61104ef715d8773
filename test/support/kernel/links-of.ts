/** A namespace's interfaces as an agent sees them that starts there now. */
import { linkSource } from '../../../src/links/link-source.ts';
import type { NodeLinks } from '../../../src/model/links.ts';
import { netns } from '../../../src/native.ts';

export function linksOf(namespace: string): NodeLinks {
  let links: NodeLinks | undefined;
  // It lists at once when it is subscribed to.
  netns.run(namespace, () =>
    linkSource()
      .subscribe((now) => {
        links = now;
      })
      .unsubscribe(),
  );
  return links as unknown as NodeLinks;
}
