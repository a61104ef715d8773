// The socket of the API: whose it is, what a killed agent leaves, and readers that do not read.
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { askAgent, followAgent } from '../../src/api/client.ts';
import { ApiServer, type Ask, type Reply } from '../../src/api/server.ts';

let folder: string;
let open: ApiServer[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'selvedge-api-'));
});

afterEach(() => {
  for (const server of open) server.close();
  open = [];
  rmSync(folder, { recursive: true, force: true });
});

/** Resolves once it listens, or has said why not. */
async function serve(
  socket: string,
  answer: (ask: Ask) => Promise<Reply> = async () => ({ json: 'hello' }),
): Promise<string | undefined> {
  let failure: string | undefined;
  const server = new ApiServer({
    socket,
    answer,
    onFailure: ({ message }) => {
      failure = message;
    },
  });
  open.push(server);
  await expect.poll(() => failure !== undefined || server.listening).toBe(true);
  return failure;
}

it('is for its owner alone, in a folder that it makes, and goes with the agent', async () => {
  const socket = join(folder, 'deep', 'agent.sock');
  expect(await serve(socket)).toBeUndefined();
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  expect(await askAgent(socket, '/')).toBe('hello');
  open[0]?.close();
  expect(existsSync(socket)).toBe(false);
  await expect(askAgent(socket, '/')).rejects.toMatchObject({
    code: 'ENOENT',
    message: expect.stringContaining(socket),
  });
});

it('takes the place of one that a killed agent has left, and of no living one', async () => {
  const socket = join(folder, 'agent.sock');
  // Closing takes the path off, so it is put back: as a kill leaves it.
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(join(folder, 'dead'), resolve));
  renameSync(join(folder, 'dead'), socket);
  await new Promise((resolve) => dead.close(resolve));
  await expect(askAgent(socket, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(await serve(socket)).toBeUndefined();
  expect(await serve(socket, async () => ({ json: 'second' }))).toBe(`another agent listens on ${socket}`);
  expect(await askAgent(socket, '/')).toBe('hello');
  open[1]?.close();
  expect(await askAgent(socket, '/')).toBe('hello');
});

it('replaces nothing but a socket, and leaves one that is no longer its own', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, 'kept');
  expect(await serve(file)).toBe(`${file} is there already and is no socket`);
  expect(readFileSync(file, 'utf8')).toBe('kept');

  const socket = join(folder, 'agent.sock');
  expect(await serve(socket)).toBeUndefined();
  expect(readdirSync(folder).sort()).toEqual(['agent.sock', 'file']);
  rmSync(socket);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(socket, resolve));
  open[1]?.close();
  expect(existsSync(socket)).toBe(true);
  other.close();
});

it('says why it cannot listen', async () => {
  writeFileSync(join(folder, 'file'), '');
  expect(await serve(join(folder, 'file', 'agent.sock'))).toMatch(/ENOTDIR|EEXIST/);
});

it('does not wait for who reads nothing: others are answered, and it is told when the reader has gone', async () => {
  const socket = join(folder, 'agent.sock');
  let given = 0;
  const gone = Promise.withResolvers<void>();
  async function* endless(signal: AbortSignal): AsyncGenerator<string> {
    signal.addEventListener('abort', () => gone.resolve());
    while (!signal.aborted) {
      given++;
      yield 'x'.repeat(10_000);
    }
  }
  await serve(socket, async ({ path, signal }) => (path === '/all' ? { lines: endless(signal) } : { json: given }));
  const deaf = connect(socket);
  deaf.pause();
  deaf.write('GET /all HTTP/1.1\r\nHost: agent\r\n\r\n');
  await expect.poll(async () => await askAgent<number>(socket, '/')).toBeGreaterThan(0);
  // Full: nothing more is made for it.
  let before = -1;
  await expect
    .poll(async () => {
      const now = await askAgent<number>(socket, '/');
      const still = now === before;
      before = now;
      return still;
    })
    .toBe(true);
  expect(given).toBeLessThan(1_000);
  deaf.destroy();
  await gone.promise;
});

it('goes on with a reader that was slow, however often', async () => {
  const socket = join(folder, 'agent.sock');
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  async function* many(): AsyncGenerator<string> {
    for (let line = 0; line < 200; line++) yield `${line} ${'x'.repeat(100_000)}`;
  }
  await serve(socket, async () => ({ lines: many() }));
  let next = 0;
  for await (const line of followAgent<string>(socket, '/')) expect(line.startsWith(`${next++} `)).toBe(true);
  expect(next).toBe(200);
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', note);
  expect(warnings).toEqual([]);
});

it('answers rubbish and goes on', async () => {
  const socket = join(folder, 'agent.sock');
  await serve(socket);
  const said = await new Promise<string>((resolve) => {
    const connection = connect(socket);
    connection.setEncoding('utf8').on('data', (text: string) => resolve(text));
    connection.write('\u0000rubbish\r\n\r\n');
  });
  expect(said).toMatch(/^HTTP\/1.1 400 /);
  await expect(askAgent(socket, '//')).rejects.toMatchObject({ code: 'REQUEST', message: '"//" is no path' });
  expect(await askAgent(socket, '/')).toBe('hello');
});

it('says that a request is too large also to who has not sent all of it yet', async () => {
  const socket = join(folder, 'agent.sock');
  await serve(socket, async ({ body }) => ({ json: body }));
  const said = await new Promise<string>((resolve) => {
    const connection = connect(socket);
    const close = () => resolve('nothing');
    connection.setEncoding('utf8').on('data', (text: string) => resolve(text));
    connection.on('error', close).on('close', close);
    connection.write(`POST / HTTP/1.1\r\nHost: agent\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(70_000)}`);
  });
  expect(said).toMatch(/^HTTP\/1.1 413 /);
  expect(await askAgent(socket, '/')).toBe('');
});

it('tells a command that what listens is no agent', async () => {
  const socket = join(folder, 'other.sock');
  const other = createServer((connection) => connection.end('HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno'));
  await new Promise<void>((resolve) => other.listen(socket, resolve));
  await expect(askAgent(socket, '/')).rejects.toMatchObject({
    code: 'NOT_AN_AGENT',
    message: `${socket} is not an agent's`,
  });
  await expect(followAgent(socket, '/').next()).rejects.toMatchObject({ code: 'NOT_AN_AGENT' });
  other.close();
});

it('answers errors by codes that docs/operations.md lists', () => {
  const documented = /^An error is `\{"error"[\s\S]*?\n\n/m.exec(readFileSync('docs/operations.md', 'utf8'))?.[0];
  const sources = readdirSync('src/api').map((name) => readFileSync(join('src/api', name), 'utf8'));
  const codes = sources.flatMap((text) => [...text.matchAll(/new ApiError\(\d+, '(\w+)'/g)].map(([, code]) => code));
  expect(codes.length).toBeGreaterThan(5);
  for (const code of [...codes, 'QUERY']) expect(documented).toContain(`\`${code}\``);
});
