/** Around the flip of the rulesets the guard allows what both the state before and the next allow. */
import { expect, it } from 'vitest';
import type { GuardedLink } from '../../../src/dataplane/ipset/guard-text.ts';
import { PortGuard } from '../../../src/dataplane/ipset/port-guard.ts';
import { Programs } from '../../../src/dataplane/ipset/programs.ts';

/** Keeps what nft would have been given. */
class ToldPrograms extends Programs {
  readonly texts: string[] = [];

  constructor() {
    super({ variant: 'nft' });
  }

  override async nft(text: string): Promise<string> {
    this.texts.push(text);
    return '';
  }
}

const open: GuardedLink = { name: 'veth1', bridged: true, kind: 'endpoint', addresses: ['10.0.0.1'] as never };
const strict: GuardedLink = { ...open, kind: 'strict' };

it('is strict with a pod as long as any of the two states isolates it', async () => {
  const programs = new ToldPrograms();
  const guard = new PortGuard(programs);
  await guard.prepare([open]);
  expect(await guard.finish([open])).toBe(0);
  expect(await guard.prepare([strict])).toBe(1);
  expect(await guard.finish([strict])).toBe(0);
  // Nobody waits for what may come after the flip.
  expect(await guard.prepare([open])).toBe(0);
  expect(await guard.finish([open])).toBe(1);
  expect(programs.texts.slice(1)).toEqual([
    'add element bridge selvedge strict { "veth1" }\n',
    'delete element bridge selvedge strict { "veth1" }\n',
  ]);
});

it('is written whole again when it is not known what is there', async () => {
  const programs = new ToldPrograms();
  const guard = new PortGuard(programs);
  await guard.prepare([open]);
  guard.forget();
  await guard.prepare([strict]);
  expect(programs.texts.map((text) => text.includes('delete table bridge selvedge'))).toEqual([true, true]);
});
