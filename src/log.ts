/** Structured logs on standard error: JSON lines when piped, readable lines on a terminal. */
import { type DestinationStream, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Bytes of lines that nobody has taken yet. */
const MOST_WAITING = 1 << 20;

export function openLog(level: LogLevel): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: levelName } };
  if (!process.stderr.isTTY) return pino(options, lines());
  return pino(options, pretty({ destination: 2, sync: true, ignore: 'event', translateTime: 'SYS:HH:MM:ss.l' }));
}

/** What cannot be written, as on a full disk, waits for the next line, and much of it is lost: it ends nobody who enforces. */
function lines(): DestinationStream {
  const destination = pino.destination({ dest: 2, sync: true, maxLength: MOST_WAITING });
  destination.on('error', () => {});
  return destination;
}

/** An error for a line that a person reads; its stack belongs to a line of level debug. */
export function briefly(error: unknown): { readonly message: string; readonly code?: unknown } {
  if (!(error instanceof Error)) return { message: String(error) };
  return { message: error.message, ...('code' in error && { code: error.code }) };
}

function levelName(label: string): { level: string } {
  return { level: label };
}
