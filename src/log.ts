/** Structured logs on standard error: JSON lines when piped, readable lines on a terminal. */
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export function openLog(level: LogLevel): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: levelName } };
  if (!process.stderr.isTTY) return pino(options, pino.destination({ dest: 2, sync: true }));
  return pino(options, pretty({ destination: 2, sync: true, ignore: 'event', translateTime: 'SYS:HH:MM:ss.l' }));
}

/** An error for a line that a person reads; its stack belongs to a line of level debug. */
export function briefly(error: unknown): { readonly message: string; readonly code?: unknown } {
  if (!(error instanceof Error)) return { message: String(error) };
  return { message: error.message, ...('code' in error && { code: error.code }) };
}

function levelName(label: string): { level: string } {
  return { level: label };
}
