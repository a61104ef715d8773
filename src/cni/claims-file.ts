/**
 * What the CNI plugin has told, over restarts of the agent: a file beside the socket, in a folder that goes with the
 * machine's boot as pods' sandboxes do. Without it a pod that started last would be nobody's until the API server has its
 * address, and an address that was given back another's twice.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { type Address, parseAddress } from '../model/address.ts';
import type { ObjectKey } from '../model/cluster.ts';

/** Of one pod; its sandbox, its claim, or both. */
export interface StoredClaim {
  readonly pod: ObjectKey;
  readonly sandbox?: string | undefined;
  readonly instance?: number | undefined;
  readonly claim?:
    | { readonly addresses: readonly Address[]; readonly before: string; readonly former?: number | undefined }
    | undefined;
}

const address = z.string().refine((text) => parseAddress(text) === text) as unknown as z.ZodType<Address>;
const stored: z.ZodType<readonly StoredClaim[]> = z.array(
  z.object({
    pod: z.string() as unknown as z.ZodType<ObjectKey>,
    sandbox: z.string().optional(),
    instance: z.int().optional(),
    claim: z.object({ addresses: z.array(address), before: z.string(), former: z.int().optional() }).optional(),
  }),
);

/** @param socket of the agent */
export function claimsFileOf(socket: string): string {
  return join(dirname(socket), 'cni-claims.json');
}

/** None where there is no file. @throws {Error} it cannot be read, or is none of ours */
export function loadClaims(file: string): readonly StoredClaim[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return stored.parse(JSON.parse(text));
}

/** Whole or not at all. @throws {Error} it cannot be written, and is what it was */
export function saveClaims(file: string, claims: readonly StoredClaim[]): void {
  const made = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(made, JSON.stringify(claims), { mode: 0o600 });
    renameSync(made, file);
  } catch (error) {
    rmSync(made, { force: true });
    throw error;
  }
}
