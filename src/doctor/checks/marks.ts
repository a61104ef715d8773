/** Others' rules that write into the bits of a packet's mark in which ours keep who has sent it. */
import { DEFAULT_MARK_FIELD, fieldMask } from '../../dataplane/ipset/mark-field.ts';
import { type Check, ok, warning } from '../check.ts';

const FIELD = fieldMask(DEFAULT_MARK_FIELD);

/** As iptables-save writes it: bits below the mask are cleared, then those of the value turned over. */
const SETS = /-j MARK --set-xmark (0x[0-9a-f]+)\/(0x[0-9a-f]+)/;
const RESTORES = /-j CONNMARK --restore-mark --nfmask (0x[0-9a-f]+)/;
/** The data plane ipset's own, which are not there while programs mark packets. */
const OURS = /^-A SELVEDGE-/;
const SHOWN = 3;

export const markChecks: readonly Check[] = [
  {
    id: 'marks',
    group: 'other engines',
    looksAt: 'others’ rules in iptables that write bits 16 to 30 of packets’ marks',
    run: async (node) => {
      const rules = foreignMarkRules((await node.rules('nft')) + (await node.rules('legacy')));
      if (rules.length === 0) return ok('none');
      const more = rules.length - SHOWN;
      return warning(
        rules.slice(0, SHOWN).join('; ') + (more > 0 ? ` and ${more} more` : ''),
        'with BPF these bits say which pod has sent a packet: it is taken for another pod’s, or dropped, or a pod’s egress is not judged',
        'have them leave these bits alone (a mask), or use the data plane ipset: see "Marks" in docs/operations.md',
      );
    },
  },
];

/** @param saved what iptables-save prints */
export function foreignMarkRules(saved: string): string[] {
  return saved.split('\n').filter((rule) => !OURS.test(rule) && (writtenBits(rule) & FIELD) !== 0);
}

function writtenBits(rule: string): number {
  const [, value, mask] = SETS.exec(rule) ?? [];
  const [, restored] = RESTORES.exec(rule) ?? [];
  return Number(value ?? 0) | Number(mask ?? 0) | Number(restored ?? 0);
}
