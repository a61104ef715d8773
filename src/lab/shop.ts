/**
 * The shop of examples/shop as the demo shows it: which files are in force in each step, and, written by hand from what
 * they say, who then reaches whom.
 */
import { markOf } from '../observe/format-matrix.ts';
import { columnName, type Matrix } from '../observe/matrix.ts';

export interface Step {
  readonly title: string;
  /** Files of examples/shop that come with this step. */
  readonly files: readonly string[];
  /** `FROM → POD PORT/PROTOCOL`, all that is reached; with `everything`, all is. */
  readonly reached: 'everything' | readonly string[];
}

const DNS = ['kube-system/dns 53/udp', 'kube-system/dns 53/tcp'];

/** kube-system and the intruder's namespace are under no policy. */
const OUTSIDE_THE_SHOP = ['intruder/intruder', 'outside'].flatMap((from) => DNS.map((to) => `${from} → ${to}`));

export const STEPS: readonly Step[] = [
  {
    title: 'No policy: everybody reaches everything, the intruder the database',
    files: ['cluster.yaml'],
    reached: 'everything',
  },
  {
    title: 'Default deny: nothing into or out of the shop',
    files: ['policies/1-default-deny.yaml'],
    reached: OUTSIDE_THE_SHOP,
  },
  {
    title: 'web → api:8080 → database:5432, DNS for all three, customers → web',
    files: [
      'policies/2-web-to-api.yaml',
      'policies/3-api-to-database.yaml',
      'policies/4-dns.yaml',
      'policies/5-customers-to-web.yaml',
    ],
    reached: [
      ...OUTSIDE_THE_SHOP,
      'web/web-1 → api/api 8080/tcp',
      'web/web-2 → api/api 8080/tcp',
      'api/api → database/database 5432/tcp',
      ...['web/web-1', 'web/web-2', 'api/api', 'database/database'].flatMap((from) =>
        DNS.map((to) => `${from} → ${to}`),
      ),
      'outside → web/web-1 80/tcp',
      'outside → web/web-2 80/tcp',
    ],
  },
];

/** Pairs that came to something else than the step says, in words. */
export function surprises({ rows, columns, cells }: Matrix, { reached }: Step): readonly string[] {
  const expected = new Set(reached);
  const asked = new Set<string>();
  const found = rows.flatMap((from, row) =>
    columns.flatMap((target, column) => {
      const mark = markOf(cells[row]?.[column]);
      if (mark === 'self') return [];
      const pair = `${from} → ${columnName(target)}`;
      asked.add(pair);
      const wanted = reached === 'everything' || expected.has(pair) ? 'allow' : 'deny';
      return mark === wanted ? [] : [`${pair}: expected ${wanted}, came to ${mark}`];
    }),
  );
  const missing = reached === 'everything' ? [] : reached.filter((pair) => !asked.has(pair));
  return [...found, ...missing.map((pair) => `${pair}: was not asked`)];
}
