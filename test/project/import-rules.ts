// Who may import whom: the folders of src/ are the stages of the data's way, and only the places that join
// stages see several. Each outside world (the addon, child processes, the API server) has one owner.

import type { Import } from './source-files.ts';

/** A file that `from` matches may not import what `to` matches. */
export type Rule = { readonly text: string; readonly from: RegExp; readonly to: RegExp };

/** The stages that do not see each other; what one gives the next is described in model. */
const stages = ['sources', 'links', 'compile', 'dataplane'];

const stage = (name: string): RegExp => new RegExp(`^src/${name}/`);
const allBut = (file: string): RegExp => new RegExp(`^src/(?!${file})`);

/** What a pure stage must not import: all that reaches out of the program or tells the time (node:net is for isIP). */
const outsideWorlds = /^(node:(?!assert|util|buffer|net$)|pino$|selvedge-libbpf|@kubernetes\/)/;

export const rules: readonly Rule[] = [
  {
    text: 'model imports nothing of the other stages',
    from: stage('model'),
    to: /^src\/(?!model\/)/,
  },
  ...stages.map((from) => ({
    text: `${from} imports no other stage`,
    from: stage(from),
    to: new RegExp(`^src/(${stages.filter((other) => other !== from).join('|')})/`),
  })),
  {
    text: 'stages do not import what joins them',
    from: /^src\/(model|sources|links|compile|dataplane|observe)\//,
    to: /^src\/(agent\.ts|main\.ts|commands\/|lab\/)/,
  },
  {
    text: 'the bpf data plane does not import the ipset one',
    from: stage('dataplane/bpf'),
    to: /^src\/dataplane\/ipset\//,
  },
  {
    text: 'the ipset data plane does not import the bpf one',
    from: stage('dataplane/ipset'),
    to: /^src\/dataplane\/bpf\//,
  },
  { text: 'model does no I/O', from: stage('model'), to: outsideWorlds },
  { text: 'compile does no I/O', from: stage('compile'), to: outsideWorlds },
  {
    text: 'only src/native.ts imports the addon',
    from: allBut('native\\.ts$'),
    to: /^selvedge-libbpf|^native\//,
  },
  {
    text: 'only src/child-process.ts starts processes',
    from: allBut('child-process\\.ts$'),
    to: /^(node:)?child_process$/,
  },
  {
    text: 'only sources/kubernetes speaks to the API server',
    from: allBut('sources/kubernetes/'),
    to: /^@kubernetes\//,
  },
  {
    text: "only the benchmark's report draws: what it draws with is not in an image",
    from: allBut('bench/compare/report/'),
    to: /^(vega|@resvg\/)/,
  },
  { text: 'src does not import tests', from: /^src\//, to: /^test\// },
];

/** One line for each import that breaks a rule. */
export function violations(imports: readonly Import[]): string[] {
  return imports.flatMap(({ from, to }) =>
    rules
      .filter((rule) => rule.from.test(from) && rule.to.test(to))
      .map((rule) => `${from} imports ${to}, but ${rule.text}`),
  );
}
