/** The agent as `selvedge agent` has it, but that its objects come from the benchmark's feed: `--manifests` is its socket. */
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Observable } from 'rxjs';
import { Agent } from '../../../agent.ts';
import { openDataplane } from '../../../commands/open-dataplane.ts';
import { stopSignal } from '../../../commands/stop-signal.ts';
import type { DataplaneChoice } from '../../../dataplane/select.ts';
import { linkSource } from '../../../links/link-source.ts';
import { openLog } from '../../../log.ts';
import type { ClusterChange } from '../../../model/cluster.ts';
import { changeOf } from './feed.ts';

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    manifests: { type: 'string', default: '' },
    'node-name': { type: 'string', default: '' },
    'pin-dir': { type: 'string', default: '' },
    dataplane: { type: 'string', default: 'auto' },
    'set-sysctls': { type: 'boolean', default: false },
    socket: { type: 'string' },
  },
});
const node = values['node-name'];

function feedSource(path: string): Observable<ClusterChange> {
  return new Observable((subscriber) => {
    const socket = createConnection(path, () => socket.write(`${JSON.stringify({ node, pid: process.pid })}\n`));
    socket.on('error', (error) => subscriber.error(error));
    createInterface({ input: socket }).on('line', (text) => subscriber.next(changeOf(text)));
    return () => socket.destroy();
  });
}

async function run(): Promise<void> {
  const log = openLog('info');
  using stop = stopSignal();
  const dataplane = values.dataplane as DataplaneChoice;
  const options = { dataplane, setSysctls: values['set-sysctls'], pinDir: values['pin-dir'], events: 'drops' } as const;
  const opened = await openDataplane(options, log);
  const source = feedSource(values.manifests);
  const agent = new Agent({ node, source, links: linkSource(), dataplane: opened.dataplane, pending: 'auto', log });
  try {
    await agent.start();
    await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
  } finally {
    await agent.close();
  }
}

try {
  await run();
} catch (error) {
  // The last words of an agent are told.
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
