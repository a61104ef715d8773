/**
 * What tells a running lab from what a crashed one has left: a folder in /run with the process that owns it and when
 * that was started, made before anything else and removed last. The lab's own bpffs is mounted in it.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { runSync } from '../child-process.ts';
import { isBpffs, mountBpffs } from '../native.ts';
import { type LabId, labIdOf, labOf, pidOf } from './network/names.ts';
import { listNamespaces, removeNamespaces } from './network/network.ts';

const ROOT = '/run/selvedge-lab';

/** A new lab of this process. */
export function claimLab(): LabId {
  mkdirSync(ROOT, { recursive: true });
  for (let nth = 0; ; nth++) {
    const lab = labIdOf(process.pid, nth);
    if (!makeFolder(folderOf(lab))) continue;
    writeFileSync(`${folderOf(lab)}/owner`, startOf(process.pid) ?? '');
    return lab;
  }
}

/** A bpffs of the lab's own, so that its pins go with it and the machine's stays as it was. @returns where it is mounted */
export function mountLabBpffs(lab: LabId): string {
  mountBpffs(bpffsOf(lab));
  return bpffsOf(lab);
}

/** Removes every trace of a lab, blocking. Idempotent. */
export function removeLab(lab: LabId): void {
  removeNamespaces(listNamespaces().filter((name) => labOf(name) === lab));
  // Lazily: a process that is just ending may still have a pin open.
  if (isBpffs(bpffsOf(lab))) runSync('umount', ['--lazy', bpffsOf(lab)]);
  rmSync(folderOf(lab), { recursive: true, force: true });
}

/** Labs whose process has gone. */
export function deadLabs(): readonly LabId[] {
  return knownLabs().filter((lab) => !isAlive(lab));
}

/** Labs of which anything is there, running or not. */
export function knownLabs(): readonly LabId[] {
  return (entriesOf(ROOT) as readonly LabId[]).toSorted();
}

function isAlive(lab: LabId): boolean {
  const start = startOf(pidOf(lab));
  if (start === undefined) return false;
  const recorded = read(`${folderOf(lab)}/owner`);
  // Not written yet: the lab is just being made.
  return recorded === undefined || recorded === '' || recorded === start;
}

/** When a process was started, in ticks since boot: process ids are used again. */
function startOf(pid: number): string | undefined {
  // The program's name, second and in parentheses, may have spaces; the start is the 20th field after it.
  return read(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ')[19];
}

/** Goes with the lab. */
export function folderOf(lab: LabId): string {
  return `${ROOT}/${lab}`;
}

function bpffsOf(lab: LabId): string {
  return `${folderOf(lab)}/bpf`;
}

function makeFolder(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function entriesOf(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
