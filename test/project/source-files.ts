// The project's own files and what each TypeScript file imports, as its tests over layout and dependencies see them.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** One import: `to` is a path from the root for a relative import, else the specifier as written. */
export type Import = { readonly from: string; readonly to: string };

/** Text files under `folders` whose name matches, as paths from the root. Generated folders are not entered. */
export function filesUnder(folders: readonly string[], name: RegExp): string[] {
  return folders.flatMap((folder) => walk(`${root}/${folder}`)).filter((file) => name.test(file));
}

export function readText(file: string): string {
  return readFileSync(`${root}/${file}`, 'utf8');
}

/** What `text`, the content of `file`, imports: statically, by re-export, for its effect, or by a literal `import()`. */
export function importsOf(file: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const pattern =
    /(?:^|[;}\s])(?:import|export)\b[^'"`;()]*?\bfrom\s*['"]([^'"]+)['"]|(?:^|[;}\s])import\s*\(?\s*['"]([^'"]+)['"]/g;
  return [...code.matchAll(pattern)].map((match) => {
    const specifier = (match[1] ?? match[2]) as string;
    const to = specifier.startsWith('.') ? posix.join(dirname(file), specifier) : specifier;
    return { from: file, to };
  });
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'node_modules' || entry.name === 'build' ? [] : walk(path);
    return entry.isFile() ? [relative(root, path)] : [];
  });
}
