/** Tables of frames: each is sent on four paths, from and to pods under policy and others, and must end as the row says. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeAsRoot } from '../../support/privilege.ts';
import { BridgeNode } from './bridge-node.ts';
import { FAMILIES, type Family, guarding, PODS, type PodName } from './cast.ts';
import type { Outcome } from './crossing.ts';
import type { Ends } from './wire.ts';

/** By which ends are under policy. */
const PATHS = {
  both: ['guarded', 'ward'],
  sender: ['guarded', 'free'],
  receiver: ['open', 'ward'],
  none: ['open', 'free'],
} as const satisfies Readonly<Record<string, readonly [PodName, PodName]>>;
type PathName = keyof typeof PATHS;

/** One outcome for each frame. */
export type Expected = Readonly<Record<PathName, readonly Outcome[]>>;

export interface Crossed extends Ends {
  readonly family: Family;
  /** Another one for each path of each row: a port, an identifier. */
  readonly number: number;
}

export interface Row {
  readonly name: string;
  /** Sent one after the other. */
  readonly frames: (crossed: Crossed) => readonly Uint8Array[];
  readonly expected: Expected;
  /** Both when absent. */
  readonly family?: Family;
  /** Bytes that the kernel itself refuses where iptables see bridged packets: they may be lost there. */
  readonly kernelRefuses?: true;
}

/** Wherever it is sent. */
export function everywhere(...outcomes: readonly Outcome[]): Expected {
  return { both: outcomes, sender: outcomes, receiver: outcomes, none: outcomes };
}

/** Where one end is under policy, judged with the receiver; nothing keeps the others from it. */
export function underPolicy(...outcomes: readonly Outcome[]): Expected {
  return { ...everywhere(...outcomes), none: outcomes.map(() => ARRIVED) };
}

/** Dropped by the hook that first sees it at an end under policy. */
export function unread(reason: string): Expected {
  const [left, right] = [[`from-pod ${reason}`], [`to-pod ${reason}`]];
  return { both: left, sender: left, receiver: right, none: [ARRIVED] };
}

export const ARRIVED = 'arrived';
export const POLICY = 'to-pod drop-policy';

let number = 10_000;

/** Runs the rows without and with the kernel's own checks of bridged packets. */
export function crossings(topic: string, rows: readonly Row[], ports?: Parameters<typeof guarding>[0]): void {
  for (const bridgeNetfilter of [false, true]) {
    const where = bridgeNetfilter ? ' where iptables see bridged packets' : '';
    describeAsRoot(`${topic}${where}`, () => {
      let node: BridgeNode;
      beforeAll(async () => {
        node = await BridgeNode.open('cross', { bridgeNetfilter });
        await node.apply(guarding(ports));
      });
      afterAll(() => node?.close());

      for (const row of rows) {
        it(row.name, () => {
          const outcomes = cross(node, row, bridgeNetfilter && row.kernelRefuses === true);
          expect(outcomes).toEqual(expectedOf(row, outcomes, bridgeNetfilter));
        });
      }
    });
  }
}

type Outcomes = Record<string, readonly Outcome[]>;

function cross(node: BridgeNode, { frames, family }: Row, mayBeLost: boolean): Outcomes {
  const outcomes: Outcomes = {};
  for (const each of family === undefined ? FAMILIES : [family]) {
    for (const [path, [from, to]] of Object.entries(PATHS)) {
      const options = mayBeLost ? { patience: 0 } : {};
      const sent = frames({ from: PODS[from], to: PODS[to], family: each, number: number++ });
      outcomes[`${path} IPv${each}`] = sent.map((frame) => node.offer(from, to, frame, options));
    }
  }
  return outcomes;
}

/** What the kernel refuses before a hook of ours sees it may be lost instead, but never arrives where it must not. */
function expectedOf({ expected, kernelRefuses }: Row, outcomes: Outcomes, bridgeNetfilter: boolean): Outcomes {
  return Object.fromEntries(
    Object.entries(outcomes).map(([path, found]) => {
      const wanted = expected[path.split(' ')[0] as PathName];
      const lenient = bridgeNetfilter && kernelRefuses;
      return [path, wanted.map((outcome, index) => (lenient && found[index] === 'lost' ? 'lost' : outcome))];
    }),
  );
}
