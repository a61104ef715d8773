/** The agent as `selvedge agent` has it, but that its objects come from the benchmark's feed: `--manifests` is its socket. */
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { Observable } from 'rxjs';
import { Agent } from '../../../agent.ts';
import { openDataplane } from '../../../commands/open-dataplane.ts';
import { stopSignal } from '../../../commands/stop-signal.ts';
import { readAgentArguments } from '../../../lab/agents/arguments.ts';
import { linkSource } from '../../../links/link-source.ts';
import { openLog } from '../../../log.ts';
import type { ClusterChange } from '../../../model/cluster.ts';
import { changeOf } from './feed.ts';

const { manifests, node, pinDir, dataplane } = readAgentArguments();

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
  const opened = await openDataplane({ dataplane, setSysctls: true, pinDir, events: 'drops' }, log);
  const source = feedSource(manifests[0] ?? '');
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
