/** Whether the kernel holds what it should -> what a person reads: every place where it does not. */
import type { Verification } from '../model/observation.ts';
import type { Colours } from './format-status.ts';

export function verificationText(
  { generation, compared, differences }: Verification,
  { green, red }: Pick<Colours, 'green' | 'red'>,
): string[] {
  const what = `${compared} entries of generation ${generation}`;
  if (differences.length === 0) return [`${green('equal')}: the kernel holds what the agent says, ${what}\n`];
  const lines = differences.map(({ place, key, wanted, found }) => {
    const [should, is] = [wanted ?? 'nothing', found ?? 'nothing'];
    return `  ${[place, key].join(' ').trim()}: should be ${should}; is ${is}\n`;
  });
  return [`${red('different')}: ${differences.length} of ${what}\n`, ...lines];
}
