/** Finds out whether the kernel takes everything that our rules are made of, by writing one of each where no packet comes. */
import type { Family } from '../../model/address.ts';
import { DEFAULT_MARK_FIELD, markText } from './mark-field.ts';
import { CHAIN_PREFIX, SET_PREFIX } from './names.ts';
import type { Programs } from './programs.ts';
import { endOf } from './ruleset-chain.ts';
import { tableText } from './script.ts';

const CHAIN = `${CHAIN_PREFIX}TRY`;

/** What it writes is gone when this resolves or rejects. @throws {CommandError} in the words of what refused */
export async function tryOut(programs: Programs, family: Family, nflogGroup?: number): Promise<void> {
  const [addresses, nets] = ['ip', 'net'].map((type) => `${SET_PREFIX}try${family}-${type}`) as [string, string];
  const shape = `family ${family === 4 ? 'inet' : 'inet6'}`;
  const mark = markText(DEFAULT_MARK_FIELD, 1);
  const prefix = family === 4 ? '192.0.2.0/24' : '2001:db8::/32';
  const rules = [
    `-m set --match-set ${nets} src -m mark --mark ${mark} -j RETURN`,
    `-j SET --map-set ${addresses} dst --map-mark`,
    `-j MARK --set-xmark ${mark}`,
    '-m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN',
    '-p sctp -m multiport --dports 80,90:99 -j RETURN',
    ...exemptionsAndDrop(family, nflogGroup),
  ];
  await clear(programs, family, [addresses, nets]);
  try {
    await programs.restoreSets([
      `create ${addresses} hash:ip ${shape} skbinfo`,
      `create ${nets} hash:net ${shape}`,
      `add ${nets} ${prefix} nomatch`,
    ]);
    const lines = rules.map((rule) => `-A ${CHAIN} ${rule}`);
    await programs.restoreRules(family, tableText({ declarations: [CHAIN], rules: lines }));
  } finally {
    await clear(programs, family, [addresses, nets]);
  }
}

/** The end of every ruleset's chain. */
function exemptionsAndDrop(family: Family, nflogGroup: number | undefined): string[] {
  const empty = { id: 'try' as never, direction: 'ingress', policies: [] } as const;
  const log = nflogGroup === undefined ? {} : { nflogGroup };
  return endOf(empty, { side: 'L', family, way: 'request', ...log }).map(({ text }) => text);
}

/** Also what an earlier attempt has left that was killed. */
async function clear(programs: Programs, family: Family, sets: readonly string[]): Promise<void> {
  await programs.restoreRules(family, tableText({ declarations: [CHAIN], rules: [`-X ${CHAIN}`] }));
  const there = await programs.listSets();
  await programs.restoreSets(sets.filter((name) => there.has(name)).map((name) => `destroy ${name}`));
}
