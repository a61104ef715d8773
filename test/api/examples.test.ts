// The examples of docs/operations.md: each command is run, and what it prints must be what stands there, but for times and counts.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { selvedge } from '../observe/command.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { ShopLab } from './shop-lab.ts';

const COMMANDS = /^```\n\$ selvedge ((?:status|flows|explain)\b.*)\n([\s\S]*?)^```$/gm;
const examples = [...readFileSync('docs/operations.md', 'utf8').matchAll(COMMANDS)].map(
  ([, args = '', output = '']) => {
    return { args, output };
  },
);

describeAsRoot('the examples of the commands that ask the agent', () => {
  let shop: ShopLab;
  beforeAll(async () => {
    shop = await ShopLab.start('bpf');
    expect(await shop.reaches('intruder/intruder', 'database/database', 5432)).toBe(false);
    expect(await shop.reaches('web/web-2', 'database/database', 5432)).toBe(false);
  });
  afterAll(async () => {
    await shop?.close();
  });

  it('are there for each of them', () => {
    expect(examples.map(({ args }) => args.split(' ')[0])).toEqual(
      expect.arrayContaining(['status', 'flows', 'explain']),
    );
  });

  it.each(examples)('selvedge $args', async ({ args, output }) => {
    const { stdout, stderr } = await selvedge([...args.split(' '), '--socket', shop.socket(2)]);
    expect(stderr).toBe('');
    expect(meaningOf(stdout)).toEqual(meaningOf(output));
  });
});

/** Lines, each once: how often an attempt was made depends on the moment. */
function meaningOf(output: string): string[] {
  const lines = output.split('\n').map((line) => {
    return line
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z|^\d\d:\d\d:\d\d\.\d{3}/g, 'TIME')
      .replace(/ ×\d+$/, '')
      .replace(/generation \d+/, 'generation N')
      .replace(/\d+ (writes|entries)/, 'N $1')
      .replace(/[\d.]+ ms/, 'N ms');
  });
  return [...new Set(lines)];
}
