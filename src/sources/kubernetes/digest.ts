/** A text to a number that stands for it: so an object's last text is remembered, in 50 bytes with its place in a map. */
import { hash, randomBytes } from 'node:crypto';

const DIGITS = 12;
/** Tenants write the texts. Without this they could look for two with the same digest. */
const SECRET = randomBytes(32).toString('latin1');

/** @returns 48 bits, others in each process: once in 10^14 changes of an object's text it stays the same */
export function digestOf(text: string): number {
  return Number.parseInt(hash('sha256', SECRET + text, 'hex').slice(0, DIGITS), 16);
}
