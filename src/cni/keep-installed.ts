/** Keeps the plugin installed while the agent runs: Flannel's init container, for one, writes its list anew at each start. */
import { type FSWatcher, watch } from 'node:fs';
import { type InstallOptions, install } from './install.ts';

/** Where nothing tells of changes, and after a failure. */
const LOOK_AGAIN_MS = 5_000;

export interface KeepOptions extends InstallOptions {
  readonly onWritten: (files: readonly string[]) => void;
  /** Told once for as long as it stays the same. */
  readonly onFailure: (error: unknown) => void;
}

export function keepInstalled(options: KeepOptions): Disposable {
  let watcher: FSWatcher | undefined;
  let failed: string | undefined;
  const look = () => {
    watcher ??= tryToWatch(options.confDir, look, () => {
      watcher = undefined;
    });
    try {
      const written = install(options);
      failed = undefined;
      if (written.length > 0) options.onWritten(written);
    } catch (error) {
      const words = (error as Error).message;
      if (words !== failed) options.onFailure(error);
      failed = words;
    }
  };
  const timer = setInterval(look, LOOK_AGAIN_MS).unref();
  look();
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      watcher?.close();
    },
  };
}

/** The folder may not be there yet, or go. */
function tryToWatch(folder: string, changed: () => void, ended: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, changed);
    watcher.on('error', () => {
      watcher.close();
      ended();
    });
    return watcher;
  } catch {
    return undefined;
  }
}
