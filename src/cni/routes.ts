/**
 * What the CNI plugin asks over the agent's socket, all by POST with JSON; errors are ErrorReply.
 *
 * /v1/cni/add     { namespace, pod, uid, containerId, ifindex, ifname, addresses, timeout }: answers once the pod's policies
 *                 are in the kernel for its interface; 504 when that takes longer than `timeout` milliseconds
 * /v1/cni/check   the same, without waiting: 409 when it is not so
 * /v1/cni/del     { namespace, pod, containerId }
 * /v1/cni/gc      { containerIds }: of sandboxes that still are
 * /v1/cni/status  200 once ADD would work, 503 until then
 */
import { filter, firstValueFrom, interval, merge, timeout } from 'rxjs';
import { z } from 'zod';
import type { AgentView } from '../api/agent-view.ts';
import { ApiError, type Ask, type Reply } from '../api/server.ts';
import { type Address, parseAddress } from '../model/address.ts';
import type { ObjectKey } from '../model/cluster.ts';
import { instanceOf } from '../model/instance.ts';
import { areTwo, type CniClaims } from './claims.ts';

const PREFIX = '/v1/cni/';
const LONGEST_MS = 120_000;
const LOOK_EVERY_MS = 2;

const sandbox = z.object({ namespace: z.string().min(1), pod: z.string().min(1), containerId: z.string().min(1) });
const attachment = sandbox.extend({
  // Not every runtime says it: empty then.
  uid: z.string().default(''),
  ifindex: z.int().positive(),
  ifname: z.string(),
  addresses: z.array(z.string().transform(addressOf)),
  timeout: z.number().positive().max(LONGEST_MS).default(5_000),
});
const garbage = z.object({ containerIds: z.array(z.string()) });

type Attachment = z.infer<typeof attachment>;

export interface CniParts {
  readonly view: AgentView;
  readonly claims: CniClaims;
}

/** Undefined when it is not about CNI. @throws {ApiError} */
export function answerCni(ask: Ask, parts: CniParts): Promise<Reply> | undefined {
  return ask.path.startsWith(PREFIX) ? answer(ask, parts) : undefined;
}

async function answer({ path, method, body, signal }: Ask, parts: CniParts): Promise<Reply> {
  if (method !== 'POST') throw new ApiError(405, 'METHOD', `${path} is asked by POST, not ${method}`);
  const { view, claims } = parts;
  switch (path.slice(PREFIX.length)) {
    case 'add':
      return await added(parsed(attachment, body), parts, signal);
    case 'check':
      return checked(parsed(attachment, body), parts);
    case 'del': {
      const { containerId, ...pod } = parsed(sandbox, body);
      claims.release(keyOf(pod), containerId);
      return DONE;
    }
    case 'gc':
      claims.retain(new Set(parsed(garbage, body).containerIds));
      return DONE;
    case 'status':
      if (view.inForce === undefined) throw new ApiError(503, 'NOT_READY', 'no state is in force yet');
      return DONE;
    default:
      throw new ApiError(404, 'NOT_FOUND', `there is no ${path}`);
  }
}

const DONE: Reply = { json: {} };

async function added(asked: Attachment, parts: CniParts, signal: AbortSignal): Promise<Reply> {
  const { view, claims } = parts;
  const key = keyOf(asked);
  claims.claim(key, { container: asked.containerId, instance: instanceIn(asked) }, asked.addresses);
  const began = performance.now();
  // A state that changes nothing in the kernel, for a pod under no policy say, is told of by nobody: so it is looked for too.
  const looks = merge(view.timings, interval(LOOK_EVERY_MS));
  const inForce = looks.pipe(filter(() => signal.aborted || whyNot(asked, parts) === undefined));
  try {
    await firstValueFrom(inForce.pipe(timeout(asked.timeout)));
  } catch {
    const why = claims.record(key) === undefined ? `no pod ${key} is known on this node` : whyNot(asked, parts);
    throw new ApiError(504, 'CNI_TIMEOUT', `not enforced within ${asked.timeout} ms: ${why}`);
  }
  return { json: { milliseconds: Math.round((performance.now() - began) * 1_000) / 1_000 } };
}

function checked(asked: Attachment, parts: CniParts): Reply {
  const why = whyNot(asked, parts);
  if (why !== undefined) throw new ApiError(409, 'NOT_ENFORCED', why);
  return DONE;
}

/** What keeps the interface from being the pod's under its policies; undefined when nothing does. */
function whyNot(asked: Attachment, { view: { inForce }, claims }: CniParts): string | undefined {
  const key = keyOf(asked);
  if (inForce === undefined) return 'no state is in force yet';
  if (areTwo(claims.record(key)?.instance, instanceIn(asked))) {
    return `the pod ${key} that is known is the one before ${asked.uid}`;
  }
  const { bindings, compiled } = inForce.state;
  const binding = bindings.get(asked.ifindex);
  const interfaceIs = `interface ${asked.ifname} (${asked.ifindex})`;
  if (binding === undefined) return `${interfaceIs} is not taken for a pod's`;
  if (binding.kind === 'pending') return `${interfaceIs}: ${binding.reason}`;
  if (binding.pod !== key) return `${interfaceIs} is taken for ${binding.pod}'s`;
  const has = compiled.endpoints.get(key)?.addresses ?? [];
  const lacks = asked.addresses.filter((address) => !has.includes(address));
  return lacks.length === 0 ? undefined : `the pod's record has not ${lacks.join(', ')}`;
}

function instanceIn({ uid }: Attachment): number | undefined {
  return uid === '' ? undefined : instanceOf(uid);
}

function parsed<Shape extends z.ZodType>(shape: Shape, body: string): z.infer<Shape> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new ApiError(400, 'BAD_REQUEST', 'the body is no JSON');
  }
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ApiError(400, 'BAD_REQUEST', `${issue?.path.join('.') || 'the body'}: ${issue?.message}`);
}

function addressOf(text: string, context: z.RefinementCtx): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  context.addIssue({ code: 'custom', message: `${JSON.stringify(text)} is no address` });
  return z.NEVER;
}

function keyOf({ namespace, pod }: { readonly namespace: string; readonly pod: string }): ObjectKey {
  return `${namespace}/${pod}` as ObjectKey;
}
