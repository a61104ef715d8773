/** A packet's way over the node: which hooks it passes, in order, with the mark between them. */
import type { PacketPath } from './packet-path.ts';
import { ENDPOINTS, type EndpointName } from './state.ts';
import type { Outcome } from './test-run.ts';

export interface Journey {
  readonly frame: Uint8Array;
  /** A pod, `node`: the node's own process, or `outside`: it came in by the uplink. */
  readonly from: EndpointName | 'node' | 'outside';
  readonly to: EndpointName | 'outside' | 'node';
  /** What the next hooks see when something translated the packet on its way. */
  readonly translated?: Uint8Array;
}

/** Where it ended: `delivered`, or the hook and the reasons of the drop. */
export function travel(path: PacketPath, { frame, from, to, translated = frame }: Journey): string {
  let mark = 0;
  let ingressIfindex = from === 'node' ? 0 : path.ifindex('uplink');
  if (from in ENDPOINTS) {
    ingressIfindex = path.ifindex(from as EndpointName);
    const left = path.run('from_pod', { packet: frame, ifindex: ingressIfindex });
    if (!left.passed) return dropped('from_pod', left);
    mark = left.mark;
  }
  if (to === 'node') return 'delivered';
  if (to === 'outside') {
    const out = path.run('to_node', { packet: translated, ifindex: path.ifindex('uplink'), ingressIfindex, mark });
    return out.passed ? 'delivered' : dropped('to_node', out);
  }
  const arrived = path.run('to_pod', { packet: translated, ifindex: path.ifindex(to), ingressIfindex, mark });
  return arrived.passed ? 'delivered' : dropped('to_pod', arrived);
}

function dropped(hook: string, { reasons }: Outcome): string {
  return `${hook} ${reasons.join(' ')}`;
}
