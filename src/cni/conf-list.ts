/** The text of a CNI configuration list -> the same with our plugin behind all others, or without it; all else to the byte. */
import { elementsOf, type Span } from './json-elements.ts';

export const PLUGIN = 'selvedge-cni';

/** Of the CNI specification, as the plugin has them in native/cni. */
const VERSIONS: readonly unknown[] = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];

export interface PluginSettings {
  readonly socket: string;
  /** Seconds. */
  readonly timeout: number;
  readonly onAgentDown: 'closed' | 'open';
}

/** A file that is no configuration list. */
export class ConfListError extends Error {
  readonly code = 'CONF_LIST';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfListError';
  }
}

type Plugin = Readonly<Record<string, unknown>>;

interface Element extends Span {
  readonly plugin: Plugin;
}

/** Undefined when it is so already. @throws {ConfListError} */
export function withPlugin(text: string, settings: PluginSettings): string | undefined {
  const elements = pluginsIn(text);
  if (elements.every(isOurs)) throw new ConfListError('it has no plugins but ours');
  refuseVersion(parsed(text) as Plugin);
  const entry = JSON.stringify({ type: PLUGIN, ...settings });
  const [last] = elements.slice(-1);
  const ours = elements.filter(isOurs);
  if (ours.length === 1 && last === ours[0] && JSON.stringify(last?.plugin) === entry) return undefined;
  const cleared = without(text, elements);
  const others = pluginsIn(cleared);
  const end = others.at(-1)?.to;
  // As the first one is set off from its bracket.
  const space = /\s*$/.exec(cleared.slice(0, others[0]?.from))?.[0] ?? '';
  return `${cleared.slice(0, end)},${space}${entry}${cleared.slice(end)}`;
}

/** Undefined when it is not in there. @throws {ConfListError} */
export function withoutPlugin(text: string): string | undefined {
  const elements = pluginsIn(text);
  return elements.some(isOurs) ? without(text, elements) : undefined;
}

/** The same as a list, for whoever has a single configuration. @throws {ConfListError} */
export function asList(text: string): string {
  const { cniVersion, name, ...plugin } = parsed(text) as Plugin;
  const list = { ...(cniVersion !== undefined && { cniVersion }), ...(name !== undefined && { name }) };
  return JSON.stringify({ ...list, plugins: [plugin] });
}

/** With a version that the plugin does not know its ADD would fail, for each pod. */
function refuseVersion({ cniVersion, cniVersions }: Plugin): void {
  // Runtimes of 1.1.0 take the highest that both know; earlier ones read the first field alone.
  const isKnown =
    cniVersion === undefined && Array.isArray(cniVersions) ? cniVersions.some(isSpoken) : isSpoken(cniVersion);
  if (isKnown) return;
  const has = cniVersion === undefined ? 'no cniVersion' : `cniVersion ${JSON.stringify(cniVersion)}`;
  throw new ConfListError(`it has ${has}, and the plugin speaks ${VERSIONS.join(', ')}: no pod would start`);
}

function isSpoken(version: unknown): boolean {
  return VERSIONS.includes(version);
}

function isOurs({ plugin }: Element): boolean {
  return plugin.type === PLUGIN;
}

/** With each of ours goes what was put in with it: what stands between it and the one before. */
function without(text: string, elements: readonly Element[]): string {
  let left = text;
  for (let i = elements.length - 1; i >= 0; i--) {
    const element = elements[i] as Element;
    if (!isOurs(element)) continue;
    const before = elements[i - 1];
    const next = elements[i + 1];
    const from = before === undefined ? element.from : before.to;
    const to = before === undefined && next !== undefined ? next.from : element.to;
    left = left.slice(0, from) + left.slice(to);
  }
  return left;
}

function pluginsIn(text: string): readonly Element[] {
  const plugins = (parsed(text) as { plugins?: unknown } | null)?.plugins;
  const isPlugin = (one: unknown) => typeof one === 'object' && one !== null && !Array.isArray(one);
  const isList = Array.isArray(plugins) && plugins.length > 0 && plugins.every(isPlugin);
  if (!isList) throw new ConfListError('it has no list of plugins');
  return elementsOf(text, 'plugins').map((span, i) => ({ ...span, plugin: plugins[i] as Plugin }));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConfListError(`no JSON: ${(cause as Error).message}`, { cause });
  }
}
