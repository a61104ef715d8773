/** Which iptables the node's other rules are written with: rules of one variant do not know of the other's. */
import { CHAIN_PREFIX } from './names.ts';
import type { Programs, Variant } from './programs.ts';

export interface VariantChoice {
  readonly variant: Variant;
  readonly reason: string;
  /** Both variants hold rules of others: whose come first is then hard to tell. */
  readonly both: boolean;
}

/** What kubelet leaves in the variant that it uses, to be found by others. */
const KUBELET = /^:KUBE-(IPTABLES-HINT|KUBELET-CANARY) /m;

/** `programs`: of either variant, by name. Others' rules decide; where there are none, nft is chosen. */
export async function detectVariant(programs: Readonly<Record<Variant, Programs>>): Promise<VariantChoice> {
  const texts = { nft: await rulesOf(programs.nft), legacy: await rulesOf(programs.legacy) };
  const counts = { nft: countOthers(texts.nft), legacy: countOthers(texts.legacy) };
  const both = counts.nft > 0 && counts.legacy > 0;
  const hinted = (['nft', 'legacy'] as const).filter((variant) => KUBELET.test(texts[variant]));
  const [only] = hinted;
  if (hinted.length === 1 && only !== undefined)
    return { variant: only, reason: `kubelet uses iptables-${only}`, both };
  const variant = counts.legacy > counts.nft ? 'legacy' : 'nft';
  const reason =
    counts.nft + counts.legacy === 0
      ? 'nobody else has rules'
      : `others have ${counts.nft} rules in iptables-nft and ${counts.legacy} in iptables-legacy`;
  return { variant, reason, both };
}

async function rulesOf(programs: Programs): Promise<string> {
  if (!programs.isUsed) return '';
  try {
    return (await programs.saveAllRules(4)) + (await programs.saveAllRules(6));
  } catch {
    // Not installed, or the kernel has it not: then nobody uses it.
    return '';
  }
}

function countOthers(text: string): number {
  return text.split('\n').filter((line) => line.startsWith('-A ') && !line.includes(CHAIN_PREFIX)).length;
}
