/** The text of a CNI configuration list -> the same with our plugin behind all others, or without it. */
export const PLUGIN = 'selvedge-cni';

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

interface ConfList {
  readonly plugins: readonly { readonly type?: unknown }[];
}

/** Undefined when it is so already. @throws {ConfListError} */
export function withPlugin(text: string, settings: PluginSettings): string | undefined {
  const list = parsed(text);
  const entry = { type: PLUGIN, ...settings };
  const plugins = [...others(list), entry];
  return JSON.stringify(plugins) === JSON.stringify(list.plugins) ? undefined : printed({ ...list, plugins }, text);
}

/** Undefined when it is not in there. @throws {ConfListError} */
export function withoutPlugin(text: string): string | undefined {
  const list = parsed(text);
  const plugins = others(list);
  return plugins.length === list.plugins.length ? undefined : printed({ ...list, plugins }, text);
}

function others({ plugins }: ConfList) {
  return plugins.filter(({ type }) => type !== PLUGIN);
}

function parsed(text: string): ConfList {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ConfListError(`no JSON: ${(cause as Error).message}`, { cause });
  }
  const plugins = (value as Partial<ConfList> | null)?.plugins;
  const isList = Array.isArray(plugins) && plugins.length > 0 && plugins.every((one) => typeof one === 'object' && one);
  if (!isList) throw new ConfListError('it has no list of plugins');
  return value as ConfList;
}

/** Indented as it was, so that taking the plugin out again restores it. */
function printed(list: ConfList, before: string): string {
  const indent = /\n([ \t]+)"/.exec(before)?.[1] ?? '';
  return JSON.stringify(list, undefined, indent) + (before.endsWith('\n') ? '\n' : '');
}
