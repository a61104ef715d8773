/** One side after any changes holds what one that is written from nothing holds, whatever it has kept of the states before. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Compiler } from '../../../src/compile/compiler.ts';
import type { Hint } from '../../../src/dataplane/contract.ts';
import { joinHints, NOTHING } from '../../../src/dataplane/ipset/hints.ts';
import { DEFAULT_MARK_FIELD, MarkNumbers } from '../../../src/dataplane/ipset/mark-field.ts';
import { SideContent } from '../../../src/dataplane/ipset/side-content.ts';
import type { ClusterObject } from '../../../src/model/cluster.ts';
import type { RulesetId } from '../../../src/model/compiled.ts';
import { policy } from '../../support/cases/case.ts';
import { namespace } from '../../support/cases/cast.ts';
import { slim } from '../../support/kernel/cluster.ts';
import { difference } from '../../support/kernel/real-cluster.ts';
import type { ClusterObject as RawObject } from '../../support/oracle/objects.ts';
import { PlayedKernel } from './support/played-kernel.ts';

const FAMILIES = [4, 6] as const;

/** A pod elsewhere, of one role, with addresses of some families; or none. */
type Peer = { readonly role: number; readonly families: readonly (4 | 6)[]; readonly named: number } | undefined;

interface Port {
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number | 'web';
}

interface PolicyPlan {
  readonly roles: readonly number[];
  readonly ports: readonly Port[];
  readonly direction: 'Ingress' | 'Egress';
  readonly block: boolean;
}

interface Plan {
  readonly peers: readonly Peer[];
  readonly policies: readonly (PolicyPlan | undefined)[];
  /** The side is not brought to this state, only to a later one. */
  readonly missed: boolean;
  readonly clears: boolean;
}

const port: fc.Arbitrary<Port> = fc.record({
  protocol: fc.constantFrom('TCP' as const, 'UDP' as const),
  port: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 4090, max: 4110 }) }, fc.integer({ min: 1, max: 65_535 }), {
    weight: 1,
    arbitrary: fc.constant('web' as const),
  }),
});

const policyPlan: fc.Arbitrary<PolicyPlan> = fc.record({
  roles: fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
  ports: fc.array(port, { maxLength: 3 }),
  direction: fc.constantFrom('Ingress' as const, 'Egress' as const),
  block: fc.boolean(),
});

const peer: fc.Arbitrary<Peer> = fc.option(
  fc.record({
    role: fc.integer({ min: 0, max: 3 }),
    families: fc.constantFrom([4] as const, [4, 6] as const, [6] as const),
    named: fc.integer({ min: 80, max: 82 }),
  }),
  { nil: undefined },
);

/** More policies than a single chain has rules; each step changes a few of them and of the pods. */
const plans = fc
  .record({
    policies: fc.array(fc.option(policyPlan, { nil: undefined, freq: 8 }), { minLength: 40, maxLength: 60 }),
    peers: fc.array(peer, { minLength: 5, maxLength: 5 }),
    steps: fc.array(
      fc.record({
        policies: fc.array(fc.tuple(fc.nat(59), fc.option(policyPlan, { nil: undefined, freq: 2 })), { maxLength: 3 }),
        peers: fc.array(fc.tuple(fc.nat(4), peer), { maxLength: 2 }),
        missed: fc.boolean(),
        clears: fc.boolean(),
      }),
      { minLength: 1, maxLength: 8 },
    ),
  })
  .map(({ policies, peers, steps }) => {
    const all: Plan[] = [{ policies, peers, missed: false, clears: false }];
    for (const { missed, clears, ...step } of steps) {
      const [now, pods] = [[...(all.at(-1) as Plan).policies], [...(all.at(-1) as Plan).peers]];
      for (const [at, plan] of step.policies) now[at] = plan;
      for (const [at, plan] of step.peers) pods[at] = plan;
      // Back to an earlier state, now and then: what is kept of it serves again.
      const back = step.policies.length === 0 ? all[0] : undefined;
      all.push({ policies: back?.policies ?? now, peers: pods, missed, clears });
    }
    return all;
  });

function pod(
  name: string,
  labels: Record<string, string>,
  at: { node: string; ips: string[]; web: number },
): RawObject {
  const ports = [{ name: 'web', containerPort: at.web }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels },
    spec: { nodeName: at.node, containers: [{ name: 'main', image: 'example.org/app', ports }] },
    status: { phase: 'Running', podIPs: at.ips.map((ip) => ({ ip })) },
  };
}

function objectsOf({ peers, policies }: Plan): ClusterObject[] {
  const target = pod('target', { app: 'target' }, { node: 'node1', ips: ['10.244.1.2', 'fd00::1:2'], web: 80 });
  const raw = [
    namespace('shop'),
    target,
    ...peers.flatMap((one, index) => {
      if (one === undefined) return [];
      const ips = one.families.map((family) => (family === 4 ? `10.244.2.${index + 1}` : `fd00::2:${index + 1}`));
      return [pod(`peer-${index}`, { role: `r${one.role}` }, { node: 'node2', ips, web: one.named })];
    }),
    ...policies.flatMap((plan, index) => {
      if (plan === undefined) return [];
      const { roles, ports, direction, block } = plan;
      const from = [
        ...roles.map((role) => ({ podSelector: { matchLabels: { role: `r${role}` } } })),
        ...(block ? [{ ipBlock: { cidr: '10.0.0.0/8', except: [`10.${index}.0.0/16`] } }] : []),
      ];
      const rule = { ports };
      const rules = direction === 'Ingress' ? { ingress: [{ from, ...rule }] } : { egress: [{ to: from, ...rule }] };
      const podSelector = { matchLabels: { app: 'target' } };
      return [policy(`shop/p${index}`, { podSelector, policyTypes: [direction], ...rules })];
    }),
  ];
  return raw.map(slim);
}

/** What is there and wanted: neither what waits to be cleared away, nor how it came to be. */
function wantedOf({ chains, sets }: PlayedKernel, retired: ReadonlySet<string>) {
  const kept = <T>(all: ReadonlyMap<string, T>) => new Map([...all].filter(([name]) => !retired.has(name)).toSorted());
  return { chains: kept(chains), sets: new Map([...kept(sets)].map(([name, own]) => [name, [...own].toSorted()])) };
}

describe('one side of a family', () => {
  it('holds after any changes what it would hold if it were written from nothing', () => {
    let trees = 0;
    fc.assert(
      fc.property(plans, (all) => {
        for (const family of FAMILIES) {
          const compiler = new Compiler({ node: 'node1' });
          const numbers = new MarkNumbers<RulesetId>(DEFAULT_MARK_FIELD);
          const options = { side: 'L', family, field: DEFAULT_MARK_FIELD, nflogGroup: 7 } as const;
          const content = new SideContent(options);
          const kernel = new PlayedKernel();
          let behind: Hint = NOTHING;
          let before: ClusterObject[] = [];
          for (const [index, plan] of all.entries()) {
            const objects = objectsOf(plan);
            compiler.apply(difference(before, objects));
            before = objects;
            behind = joinHints(behind, compiler.takeChanges());
            if (plan.missed && index < all.length - 1) continue;
            const { state } = compiler;
            const wanted = { state, numbers: numbers.follow(state.rulesets.keys()), linkLocal: new Map() };
            kernel.play(content.update(wanted, behind, { clears: plan.clears }));
            behind = NOTHING;
            const fresh = new SideContent({ ...options, podsMet: content.podsMet });
            const other = new PlayedKernel();
            other.play(fresh.update(wanted, undefined));
            expect(wantedOf(kernel, content.retired)).toEqual(wantedOf(other, new Set()));
            expect(new Map([...content.chains].map(([name, rules]) => [name, rules.map(({ text }) => text)]))).toEqual(
              kernel.chains,
            );
            expect(content.sizes()).toEqual(new Map([...kernel.sets].map(([name, own]) => [name, own.size])));
            if (plan.clears && content.retired.size > 0) expect(content.hasRetired).toBe(false);
            if ([...kernel.chains.keys()].some((name) => name.startsWith('SELVEDGE-L-P'))) trees++;
          }
        }
      }),
      { numRuns: 60 },
    );
    expect(trees).toBeGreaterThan(60);
  });

  it('has no sets of pods until one has a member of its family, and keeps them from then on', () => {
    const rule: PolicyPlan = { roles: [0], ports: [], direction: 'Ingress', block: false };
    const plan = (families: readonly (4 | 6)[]): Plan => {
      const peers = families.length === 0 ? [] : [{ role: 0, families, named: 80 }];
      return { policies: [rule], peers, missed: false, clears: true };
    };
    const compiler = new Compiler({ node: 'node1' });
    const content = new SideContent({ side: 'L', family: 6, field: DEFAULT_MARK_FIELD });
    let before: ClusterObject[] = [];
    const setsAfter = (families: readonly (4 | 6)[]) => {
      const objects = objectsOf(plan(families));
      compiler.apply(difference(before, objects));
      before = objects;
      const { state } = compiler;
      const numbers = new Map([...state.rulesets.keys()].map((id, index) => [id, index + 1]));
      content.update({ state, numbers, linkLocal: new Map() }, compiler.takeChanges());
      const rules = [...content.chains.values()].flat().filter(({ text }) => text.includes('--match-set'));
      return { sets: content.sizes().size - 2, rules: rules.length };
    };
    expect(setsAfter([4])).toEqual({ sets: 0, rules: 0 });
    // Asked for in each direction of a connection.
    expect(setsAfter([4, 6])).toEqual({ sets: 1, rules: 2 });
    expect(setsAfter([4])).toEqual({ sets: 1, rules: 2 });
    expect(setsAfter([])).toEqual({ sets: 1, rules: 2 });
  });
});
