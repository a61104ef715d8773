/** What a container runtime must not give the plugin: rubbish, wrong settings, variables that are none; each is named. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { callPlugin, environmentOf } from './support/plugin.ts';

const somewhere = environmentOf({ pod: 'web', netns: '/run/netns/none' });
const failed = (code: number, msg: RegExp) => ({
  code: 1,
  printed: { cniVersion: '1.0.0', code, msg: expect.stringMatching(msg) },
});

it('rubbish on its standard input is an error of the specification’s form, never a crash', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.constantFrom('', '[]', 'null', '{"cniVersion":7}', '{"prevResult":[]}', `${'['.repeat(50_000)}`),
      ),
      async (config) => {
        const { code, printed } = await callPlugin({ command: 'ADD', config, environment: somewhere });
        expect(code).toBe(1);
        expect(printed).toMatchObject({
          cniVersion: expect.any(String),
          code: expect.any(Number),
          msg: expect.any(String),
        });
      },
    ),
    { numRuns: 60 },
  );
});

it('each setting that is wrong is named', async () => {
  const of = (more: object) =>
    callPlugin({ command: 'ADD', config: { cniVersion: '1.0.0', ...more }, environment: somewhere });
  expect(await of({ timeout: -1 })).toMatchObject(failed(7, /^timeout is to be/));
  expect(await of({ timeout: 'long' })).toMatchObject(failed(7, /^timeout is to be/));
  expect(await of({ onAgentDown: 'ajar' })).toMatchObject(failed(7, /^onAgentDown is to be/));
  expect(await of({ socket: 4 })).toMatchObject(failed(7, /^socket is to be/));
  expect(await of({})).toMatchObject(failed(7, /^there is no prevResult/));
});

it('each variable that is missing is named', async () => {
  for (const name of ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'] as const) {
    const { [name]: _, ...environment } = somewhere;
    const { code, printed } = await callPlugin({ command: 'ADD', config: {}, environment });
    expect([code, printed]).toMatchObject([1, { code: 4, msg: `${name} is not set` }]);
  }
  expect((await callPlugin({ command: '', config: {} })).printed).toMatchObject({ code: 4 });
  expect((await callPlugin({ command: 'PLEASE', config: {} })).printed).toMatchObject({
    code: 4,
    msg: 'CNI_COMMAND is not known: PLEASE',
  });
});

it('each variable that is none is named, for each command that needs it', async () => {
  const none = {
    CNI_CONTAINERID: ['../etc', '.hidden', 'a b', 'a;b', '-a'],
    CNI_IFNAME: ['eth0/../lo', '..', 'a:b', 'a b', 'sixteen-letters0'],
  };
  for (const [name, values] of Object.entries(none)) {
    for (const value of values) {
      for (const command of ['ADD', 'DEL', 'CHECK']) {
        const environment = { ...somewhere, [name]: value };
        const { code, printed } = await callPlugin({ command, config: {}, environment });
        expect([code, printed]).toMatchObject([1, { code: 4, msg: `${name} is none: "${value}"` }]);
      }
    }
  }
});

it('GC takes nothing for a list of what still is but such a list', async () => {
  const socket = '/run/selvedge-nobody.sock';
  const gc = (more: object) => callPlugin({ command: 'GC', config: { cniVersion: '1.1.0', socket, ...more } });
  const key = 'cni.dev/valid-attachments';
  for (const wrong of [{}, { [key]: 'all' }, { [key]: [7] }, { [key]: [{ containerID: 7 }] }, { [key]: [{}] }]) {
    const { code, printed } = await gc(wrong);
    expect([code, printed]).toMatchObject([1, { code: 7, msg: expect.stringContaining(key) }]);
  }
  // As Go writes a list that was never made.
  for (const right of [null, [], [{ containerID: 'a', ifname: 'eth0' }]]) {
    expect(await gc({ [key]: right })).toMatchObject({ code: 0, printed: undefined });
  }
});

it('a configuration without bound, and one whose end does not come', async () => {
  const long = await callPlugin({ command: 'ADD', config: ' '.repeat((4 << 20) + 1), environment: somewhere });
  expect([long.code, long.printed]).toMatchObject([1, { code: 6, msg: expect.stringContaining('longer than') }]);
  const endless = await callPlugin({ command: 'ADD', config: undefined, environment: somewhere });
  expect([endless.code, endless.printed]).toMatchObject([
    1,
    { code: 5, msg: expect.stringContaining('does not come') },
  ]);
});
