/** The maps against the state: nothing is found where all is well, and whatever somebody else has written is named. */
import { unlinkSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import { encodeKeys, encodeWanted } from '../../../src/dataplane/bpf/copies.ts';
import type { OpenedBpfDataplane } from '../../../src/dataplane/bpf/open.ts';
import type { Table } from '../../../src/dataplane/bpf/table.ts';
import {
  type AdmittedRange,
  type EndpointRecord,
  type Extent,
  makeTables,
  policyKey,
  type Tables,
} from '../../../src/dataplane/bpf/tables.ts';
import { type VerifyParts, verifyMaps } from '../../../src/dataplane/bpf/verify.ts';
import type { WantedContent } from '../../../src/dataplane/bpf/wanted-content.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import type { Address, Prefix } from '../../../src/model/address.ts';
import type { IpSet } from '../../../src/model/compiled.ts';
import type { Binding } from '../../../src/model/links.ts';
import type { Difference, Verification } from '../../../src/model/observation.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { abiFromHeader } from './support/abi-from-header.ts';
import { FakeKernel } from './support/fake-kernel.ts';
import { NodePerTest } from './support/on-kernel.ts';
import { changesBetween, desiredState, relatedStates } from './support/random-states.ts';
import { podsInSets, worldState } from './support/world-state.ts';

const states = fc.oneof(relatedStates, fc.array(desiredState, { minLength: 2, maxLength: 4 }));

describe('maps that nobody else writes into', () => {
  test('agree with the state, whatever the way to it, and through a restart', async () => {
    await fc.assert(
      fc.asyncProperty(states, fc.nat(60), async (list, failAfter) => {
        const kernel = new FakeKernel();
        let dataplane = new BpfDataplane(kernel);
        let before: DesiredState | undefined;
        for (const [at, state] of list.entries()) {
          if (at === list.length - 1) {
            await dataplane.settled();
            kernel.failAfter = failAfter;
          }
          await dataplane.apply(state, before && changesBetween(before, state)).catch(() => undefined);
          kernel.failAfter = undefined;
          if (at === list.length - 1) await dataplane.apply(state, undefined);
          expect((await verified(dataplane, kernel, state)).differences).toEqual([]);
          before = state;
        }
        await dataplane.settled();
        dataplane = new BpfDataplane(kernel);
        await dataplane.apply(before as DesiredState, undefined);
        expect((await verified(dataplane, kernel, before as DesiredState)).differences).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});

describeAsRoot('maps of this kernel', () => {
  const fresh = new NodePerTest();
  let dataplane: OpenedBpfDataplane;
  let state: DesiredState;

  /** Two pods, one of them isolated, behind real interfaces. */
  async function enforced(): Promise<number> {
    const [server, client] = [fresh.node.addVeth(), fresh.node.addVeth()];
    dataplane = await fresh.open();
    const world = worldState({
      ...podsInSets,
      local: [{ ifindex: client, pod: 'ns/client', addresses: ['10.1.0.2'] }],
    });
    const { compiled, bindings } = world;
    const block = { kind: 'ipBlock', id: 'ipBlock 192.0.2.0/24', cidr: '192.0.2.0/24', except: [] } as unknown as IpSet;
    const binding = bindings.get(30) as Binding;
    const rulesets = [...compiled.rulesets].map(([id, ruleset]) => {
      const [rule] = ruleset.rules;
      return [id, { ...ruleset, rules: [...ruleset.rules, { ...rule, peers: [block.id], ports: 'every' }] }];
    });
    state = {
      ...world,
      compiled: {
        ...compiled,
        sets: new Map([...compiled.sets, [block.id, block]]),
        rulesets: new Map(rulesets as never),
      },
      bindings: new Map([
        [server, { ...binding, link: { ...binding.link, ifindex: server, name: 'vserver' } }],
        [client, bindings.get(client) as Binding],
      ]),
      ownAddresses: new Set(['10.1.0.254' as Address, 'fd00::254' as Address]),
    };
    await dataplane.apply(state, undefined);
    await dataplane.settled();
    return server;
  }

  const verify = async () => (await dataplane.observation.verify(state)).differences;

  /** Writes into the copy in force, as nobody should. */
  function write<N extends keyof Tables>(name: N, key: TableKey<N>, value: TableValue<N> | undefined): void {
    const table = makeTables(abiFromHeader())[name] as unknown as Table<TableKey<N>, TableValue<N>>;
    const map = dataplane.object.map(`${name}_${dataplane.generation % 2n === 0n ? 'left' : 'right'}`);
    if (value !== undefined) table.set(key, value);
    const bytes = encodeKeys(table, [key]);
    if (value === undefined) map.delete(bytes);
    else map.set(bytes, encodeWanted(table, [key]));
  }

  test('are all looked at, and every entry that is not as the state says is named by what it is for', async () => {
    const server = await enforced();
    const { compared, differences } = await dataplane.observation.verify(state);
    expect(differences).toEqual([]);
    expect(compared).toBeGreaterThan(12);
    const content = (await dataplane.content()) as WantedContent;
    const { tables } = content;
    const [[slot, record] = [0, undefined]] = [...tables.endpoints.wanted].filter(([, one]) => one.ifindex === server);
    const web = tables.ipcache4.wanted.get('10.1.0.1' as Address)?.identity ?? 0;
    const isolated = record?.ingress ?? 0;
    const row = policyKey(isolated, web);
    const extent = tables.policy.wanted.get(row) as Extent;
    const range = tables.ports.wanted.get(extent.first) as AdmittedRange;
    const block = tables.cidrs4.wanted.get('192.0.2.0/24' as Prefix) ?? 0;
    const steps: readonly [() => void, Difference][] = [
      [
        () => write('settings', 0, { pending: 'closed', judgeOwnNode: false }),
        {
          place: 'settings',
          key: 'settings',
          wanted: 'pending open, own node always reached',
          found: 'pending closed, own node always reached',
        },
      ],
      [
        () => write('slots', server, { slot: 0, pending: 'open' }),
        { place: 'slots', key: `interface vserver (${server})`, wanted: `slot ${slot}`, found: 'open' },
      ],
      [
        () => write('endpoints', slot, { ...(record as EndpointRecord), ingress: 0 }),
        {
          place: 'endpoints',
          key: `endpoint ns/server on vserver (slot ${slot})`,
          wanted: `interface ${server}; 10.0.0.1 in no set; ingress ns/policy (ingress); egress none`,
          found: `interface ${server}; 10.0.0.1 in no set; ingress none; egress none`,
        },
      ],
      [
        () => write('ipcache4', '10.1.0.1' as Address, undefined),
        { place: 'ipcache4', key: '10.1.0.1', wanted: 'in web, shop' },
      ],
      [
        () => write('ipcache4', '203.0.113.9' as Address, { identity: web, ownNode: false }),
        { place: 'ipcache4', key: '203.0.113.9', found: 'in web, shop' },
      ],
      [
        () => write('ipcache6', 'fd00::254' as Address, { identity: 0, ownNode: false }),
        { place: 'ipcache6', key: 'fd00::254', wanted: 'in no set, the node itself', found: 'in no set' },
      ],
      [
        () => write('cidrs4', '192.0.2.0/24' as Prefix, web),
        { place: 'cidrs4', key: '192.0.2.0/24', wanted: 'in ipBlock 192.0.2.0/24', found: 'in web, shop' },
      ],
      [
        () => write('cidrs6', '2001:db8::/32' as Prefix, block),
        { place: 'cidrs6', key: '2001:db8::/32', found: 'in ipBlock 192.0.2.0/24' },
      ],
      [
        () => write('policy', row, undefined),
        {
          place: 'policy',
          key: 'ns/policy (ingress) for addresses in web, shop',
          wanted: expect.stringMatching(/^TCP 80 by ns\/policy ingress 0, TCP 443 by ns\/policy ingress 1 \(ranges /),
        },
      ],
      [
        () => write('policy', policyKey(isolated, 0), extent),
        { place: 'policy', key: 'ns/policy (ingress) for anyone', found: expect.stringContaining('TCP 80 by') },
      ],
      [
        () => write('ports', extent.first, { ...range, to: 65535 }),
        {
          place: 'ports',
          key: `range ${extent.first}, of ns/policy (ingress) for addresses in web, shop`,
          wanted: 'TCP 80 by ns/policy ingress 0',
          found: 'TCP 80-65535 by ns/policy ingress 0',
        },
      ],
    ];
    for (const [spoil, difference] of steps) {
      spoil();
      expect(await verify()).toEqual([difference]);
      restore(tables);
      expect(await verify()).toEqual([]);
    }
  });

  function restore(tables: Tables): void {
    for (const table of Object.values(tables) as Table<unknown, unknown>[]) {
      const { codec, wanted } = table;
      const map = dataplane.object.map(`${codec.name}_${dataplane.generation % 2n === 0n ? 'left' : 'right'}`);
      if (codec.kind === 'hash') for (const key of map.keys()) map.delete(key);
      for (const key of wanted.keys()) map.set(encodeKeys(table, [key]), encodeWanted(table, [key]));
    }
  }

  test('tell of a program that is not attached any more', async () => {
    const server = await enforced();
    unlinkSync(`${fresh.node.directory}/links/to_pod_${server}`);
    expect(await verify()).toEqual([{ place: 'tc vserver', key: 'to_pod', wanted: 'attached' }]);
  });

  test('are not read between two states', async () => {
    await enforced();
    const other = { ...state, ownAddresses: new Set<Address>() };
    const applied = [dataplane.apply(other, undefined), dataplane.observation.verify(state)] as const;
    const [{ generation }, verification] = await Promise.all(applied);
    expect(verification).toMatchObject({ generation: Number(generation), differences: [] });
  });
});

type TableKey<N extends keyof Tables> = Tables[N] extends Table<infer K, infer _> ? K : never;
type TableValue<N extends keyof Tables> = Tables[N] extends Table<infer _, infer V> ? V : never;

async function verified(dataplane: BpfDataplane, kernel: FakeKernel, state: DesiredState): Promise<Verification> {
  const known = await dataplane.content();
  const settings: VerifyParts['settings'] = (of) => dataplane.settings(of);
  return verifyMaps({ kernel, known, settings, ruleNumbers: dataplane.ruleNumbers }, state);
}
