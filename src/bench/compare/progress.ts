/** What a long run does just now, on standard error: one line that stays where it is on a terminal, else a line now and then. */
import { formatSeconds } from './grid.ts';

export interface Progress extends Disposable {
  tell(text: string): void;
}

/** Without a terminal: seconds between two lines. */
const PAUSE = 10;

/** @param seconds that all is to take */
export function openProgress(seconds: number): Progress {
  const started = performance.now();
  const { stderr } = process;
  let toldAt = -Infinity;
  return {
    tell: (text) => {
      const passed = (performance.now() - started) / 1000;
      const line = `${formatSeconds(passed)} of about ${formatSeconds(seconds)}: ${text}`;
      if (stderr.isTTY) stderr.write(`\r\x1b[K${line.slice(0, (stderr.columns ?? 80) - 1)}`);
      else if (passed - toldAt >= PAUSE) {
        toldAt = passed;
        stderr.write(`${line}\n`);
      }
    },
    [Symbol.dispose]: () => {
      if (stderr.isTTY) stderr.write('\r\x1b[K');
    },
  };
}
