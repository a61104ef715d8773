/** Manifests of deploy/ -> the parts of them that are looked at. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { describeUnless } from '../support/privilege.ts';

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  /** In place of what the image starts. */
  readonly command?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly valueFrom: { readonly fieldRef: object } }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number; readonly hostPort: number }[];
  readonly livenessProbe: { readonly httpGet: { readonly path: string; readonly port: string } };
  readonly readinessProbe: { readonly httpGet: { readonly path: string; readonly port: string } };
  readonly securityContext: {
    readonly readOnlyRootFilesystem: boolean;
    readonly allowPrivilegeEscalation: boolean;
    readonly privileged?: boolean;
    readonly appArmorProfile?: object;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

export interface PodTemplate {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>> & {
    readonly containers: readonly [Container];
    readonly initContainers?: readonly Container[];
    readonly volumes: readonly {
      readonly name: string;
      readonly hostPath: { readonly path: string; readonly type?: string };
    }[];
  };
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly {
    readonly apiGroups: readonly [string];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: {
    readonly groups?: readonly unknown[];
    readonly updateStrategy: object;
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly template: PodTemplate;
  };
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** scripts/install-tools makes them. */
const TOOLS = `${ROOT}/build/tools`;

export function manifestsIn(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0];
      return document.toJS() as Manifest | null;
    })
    .filter((manifest) => manifest !== null);
}

export function readManifests(file: string): Manifest[] {
  return manifestsIn(readFileSync(`${ROOT}/deploy/${file}`, 'utf8'));
}

/** @throws Error when there is none */
export function only(manifests: readonly Manifest[], kind: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} of ${kind}`);
  return found[0];
}

/** What renders the chart; undefined where there is none. */
export const HELM = [process.env.HELM, `${TOOLS}/helm`, 'helm'].find((helm) => runs(helm, 'version'));
/** What the API server would say of manifests; undefined where it was not built. */
export const STRICT = [`${TOOLS}/strict`].find((path) => existsSync(path));

/** `describe` with a tool of scripts/install-tools, which `npm test` calls: without Go there is none, and the tests are skipped by name. */
export function describeWith(tool: string | undefined, name: string, body: (tool: string) => void): void {
  if (tool !== undefined) describe(name, () => body(tool));
  else if (process.env.CI && runs('go', 'version')) {
    test(`${name}: has its tool`, () => expect.fail('scripts/install-tools built nothing, though Go is there'));
  } else describeUnless('no helm or strict; scripts/install-tools builds them with Go', name, () => body(''));
}

function runs(program: string | undefined, argument: string): boolean {
  if (program === undefined) return false;
  try {
    execFileSync(program, [argument], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A line for each object that the API server would not take. */
export function refused(strict: string, manifests: string): string {
  const { stdout, status } = spawnSync(strict, { input: manifests, encoding: 'utf8' });
  return status === 0 ? '' : stdout || 'no manifest at all';
}

/** What the chart gives. @throws Error with what helm says */
export function render(helm: string, values: readonly string[], kubernetes?: string): Manifest[] {
  return manifestsIn(renderText(helm, values, kubernetes));
}

export function renderText(helm: string, values: readonly string[], kubernetes = '1.31.0'): string {
  const set = values.flatMap((value) => ['--set', value]);
  const place = ['--namespace', 'kube-system', '--kube-version', kubernetes];
  const args = ['template', 'selvedge', `${ROOT}/deploy/chart`, ...place, ...set];
  return execFileSync(helm, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
