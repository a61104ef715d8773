// Loads the native half. Each environment (main thread or worker) has its own instance of it.
import { createRequire } from 'node:module';
import { BpfError } from './errors.js';

// Another build of the same sources can be named, for instance the one with AddressSanitizer.
const directory = process.env.SELVEDGE_LIBBPF_BUILD ?? '../build/Release';

export const addon = createRequire(import.meta.url)(`${directory}/selvedge_libbpf.node`);

addon.initialize(
  (code, errno, text, syscall, object, log) => new BpfError({ code, errno, text, syscall, object, log }),
);
