/** `selvedge flows` and whoever reads it: slow, gone, or ended by a signal while nobody reads. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const SELVEDGE = fileURLToPath(new URL('../../../bin/selvedge', import.meta.url));
const LINE = `${JSON.stringify({ kind: 'lost', time: new Date(0).toISOString(), count: 1, why: 'x'.repeat(2_000) })}\n`;
/** More than fits into sockets, pipes and the buffers of both ends. */
const FAR_TOO_MUCH = 64 << 20;

let folder: string;
let socket: string;
let close: () => void;
/** Resolves with each reader's response. */
let asked: Promise<ServerResponse>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'selvedge-readers-'));
  socket = join(folder, 's');
  const server = createServer();
  asked = once(server, 'request').then(([, response]) => {
    (response as ServerResponse).writeHead(200).flushHeaders();
    return response as ServerResponse;
  });
  server.listen(socket);
  await once(server, 'listening');
  close = () => {
    server.closeAllConnections();
    server.close();
  };
});

afterEach(() => {
  close();
  rmSync(folder, { recursive: true });
});

/** With a pipe of the shell's between, as people have it; `exec` leaves the command alone on the left side. */
function piped(reader: string): ChildProcess {
  const command = `(echo $BASHPID >&3; exec ${SELVEDGE} flows -f -o json --socket ${socket}) | ${reader}`;
  return spawn('bash', ['-c', `set -o pipefail; ${command}`], { stdio: ['ignore', 'pipe', 'ignore', 'pipe'] });
}

/** Writes for as long as it is taken. @returns bytes until it was not, for good */
async function fill(response: ServerResponse): Promise<number> {
  let sent = 0;
  while (sent < FAR_TOO_MUCH) {
    sent += LINE.length;
    if (response.write(LINE)) continue;
    const taken = await Promise.race([once(response, 'drain'), new Promise((resolve) => setTimeout(resolve, 1_000))]);
    if (taken === undefined) break;
  }
  return sent;
}

it('ends with its reader, also when nothing happens', async () => {
  const command = piped('true');
  const [code] = await once(command, 'close');
  expect(code).toBe(0);
});

it('takes no more than its reader does, and hears a signal meanwhile', async () => {
  const command = piped('sleep 1000');
  const [pid] = await once(command.stdio[3] as NodeJS.ReadableStream, 'data');
  const response = await asked;
  try {
    expect(await fill(response)).toBeLessThan(FAR_TOO_MUCH);
    process.kill(Number(String(pid)), 'SIGTERM');
    await once(response, 'close');
  } finally {
    const [sleeping] = (await childrenOf(command.pid as number)).reverse();
    if (sleeping !== undefined) process.kill(sleeping, 'SIGKILL');
  }
  await once(command, 'close');
});

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}
