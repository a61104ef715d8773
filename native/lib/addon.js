// Loads the native half. Each environment (main thread or worker) has its own instance of it.
import { createRequire } from 'node:module';
import { BpfError } from './errors.js';

// Another build of the same sources can be named, for instance the one with AddressSanitizer.
const directory = process.env.SELVEDGE_LIBBPF_BUILD ?? '../build/Release';

export const addon = load(`${directory}/selvedge_libbpf.node`);

function load(path) {
  try {
    return createRequire(import.meta.url)(path);
  } catch (cause) {
    if (cause.code !== 'MODULE_NOT_FOUND') throw cause;
    const here = new URL('..', import.meta.url).pathname;
    throw new Error(`selvedge-libbpf is not built yet; run: npm --prefix ${here} run build (see its README)`, {
      cause,
    });
  }
}

addon.initialize(
  (code, errno, text, syscall, object, log) => new BpfError({ code, errno, text, syscall, object, log }),
);
