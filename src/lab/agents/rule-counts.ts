/** What the rules of iptables have counted on one node, by what their comments and prefixes say, read beside the agent. */
import { SIDES } from '../../dataplane/ipset/names.ts';
import { Programs } from '../../dataplane/ipset/programs.ts';
import type { Direction, ObjectKey } from '../../model/cluster.ts';
import type { VerdictCount } from '../../model/verdict-event.ts';
import { netns } from '../../native.ts';

const OURS = new RegExp(`^\\[(\\d+):(\\d+)\\] -A (SELVEDGE-(?:${SIDES.join('|')})-[0-9a-f]{14}B?) (.*)$`, 'gm');

/** Packets, by rule that admitted them and by policies that dropped them: rules are shared by pods. */
export async function readRuleCounts(namespace: string): Promise<readonly VerdictCount[]> {
  const within = <T>(start: () => T): T => netns.run(namespace, start);
  const counts: VerdictCount[] = [];
  for (const variant of ['nft', 'legacy'] as const) {
    const programs = new Programs({ variant, within });
    if (!programs.isUsed) continue;
    for (const family of [4, 6] as const) {
      counts.push(...countsOf(await programs.saveRules(family, { counters: true })));
    }
  }
  return counts;
}

function* countsOf(text: string): Generator<VerdictCount> {
  const directions = new Map<string, Direction>();
  for (const [, packets = '', bytes = '', chain = '', rule = ''] of text.matchAll(OURS)) {
    const told = /--nflog-prefix "policy:(ingress|egress):/.exec(rule)?.[1];
    if (told !== undefined) directions.set(chain, told as Direction);
    const counted = { ifindex: 0, packets: BigInt(packets), bytes: BigInt(bytes) };
    const comment = /--comment "?([^"]*?)"? -j (RETURN|DROP)$/.exec(rule);
    const [, words = '', verdict] = comment ?? [];
    const [policy = '', direction = '', index = ''] = words.split(' ');
    if (verdict === 'DROP') {
      const way = directions.get(chain) ?? 'ingress';
      yield { ...counted, direction: way, reason: 'drop-policy', policies: words.split(' ') as ObjectKey[] };
    } else if (verdict === 'RETURN' && !chain.endsWith('B')) {
      const ref = { policy: policy as ObjectKey, direction: direction as Direction, index: Number(index) };
      yield { ...counted, direction: ref.direction, reason: 'allow-rule', rule: ref, policies: [] };
    }
  }
}
