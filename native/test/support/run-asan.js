// Runs this package's tests with the addon that AddressSanitizer and UndefinedBehaviorSanitizer watch.
// Arguments go to vitest.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('../..', import.meta.url));
const manifest = createRequire(import.meta.url).resolve('vitest/package.json');
const vitest = join(dirname(manifest), JSON.parse(readFileSync(manifest, 'utf8')).bin.vitest);

// node itself is not instrumented, so the runtime has to be there before anything else.
const runtimes = ['libasan.so', 'libubsan.so'].map((name) =>
  execFileSync('c++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim(),
);
const reports = mkdtempSync(join(tmpdir(), 'selvedge-libbpf-asan-'));
const { status, signal } = spawnSync(
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
      LD_PRELOAD: runtimes.join(':'),
      SELVEDGE_LIBBPF_BUILD: '../build/asan/Release',
      // V8 never frees what it does not have to, and leaks of the addon are fds above all, which the tests count.
      // Reports go to files: whatever process it is that finds something, it shows.
      ASAN_OPTIONS: `detect_leaks=0:abort_on_error=1:log_path=${join(reports, 'asan')}`,
      UBSAN_OPTIONS: `print_stacktrace=1:halt_on_error=1:log_path=${join(reports, 'ubsan')}`,
    },
  },
);
const found = readdirSync(reports).map((name) => readFileSync(join(reports, name), 'utf8'));
rmSync(reports, { recursive: true });
for (const report of found) console.error(report);
console.log(`sanitizers: ${found.length} reports`);
process.exitCode = found.length > 0 || signal ? 1 : status;
