// Runs this package's tests with the addon that AddressSanitizer and UndefinedBehaviorSanitizer watch.
// Arguments go to vitest.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('../..', import.meta.url));
const manifest = createRequire(import.meta.url).resolve('vitest/package.json');
const vitest = join(dirname(manifest), JSON.parse(readFileSync(manifest, 'utf8')).bin.vitest);

// node itself is not instrumented, so the runtime has to be there before anything else.
const runtime = execFileSync('c++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
const { status } = spawnSync(
  process.execPath,
  [
    vitest,
    'run',
    '--root',
    native,
    '--config',
    join(native, 'test/support/vitest.asan.config.js'),
    ...process.argv.slice(2),
  ],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      LD_PRELOAD: runtime,
      SELVEDGE_LIBBPF_BUILD: '../build/asan/Release',
      // Whatever is found ends its process, and so fails the test that it was in. Leaks are not asked for: V8 frees
      // nothing at exit, and what the addon could leak are fds above all, which the tests count.
      ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
      UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1:abort_on_error=1',
    },
  },
);
process.exitCode = status ?? 1;
