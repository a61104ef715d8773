import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { makeCandidates } from '../../src/dataplane/candidates.ts';
import { MemoryDataplane } from '../../src/dataplane/memory/memory-dataplane.ts';
import { type Candidate, NoDataplaneError, selectDataplane } from '../../src/dataplane/select.ts';
import { netlink } from '../../src/native.ts';
import { OBJECT } from '../support/kernel/dataplanes.ts';
import { TestNamespace } from '../support/kernel/test-namespace.ts';
import { describeAsRoot } from '../support/privilege.ts';

class Fake implements Candidate {
  readonly dataplane = new MemoryDataplane();
  removed = 0;
  inForce = false;
  readonly #refusal: string | undefined;

  constructor(refusal?: string) {
    this.#refusal = refusal;
  }

  async open() {
    if (this.#refusal !== undefined) throw new Error(this.#refusal);
    return { dataplane: this.dataplane, detail: 'a detail' };
  }

  async isInForce(): Promise<boolean> {
    return this.inForce;
  }

  async remove(): Promise<void> {
    this.removed++;
  }
}

it('takes the best that works, and gives the reason', async () => {
  const candidates = { bpf: new Fake(), ipset: new Fake() };
  const selected = await selectDataplane({ choice: 'auto', candidates });
  expect(selected).toMatchObject({ kind: 'bpf', opened: candidates.bpf.dataplane, refusals: [] });
  expect(selected.reason).toBe('it is the best that there is, and works here; a detail');
});

it('takes the next one where the best refuses, and says why', async () => {
  const candidates = { bpf: new Fake('no such system call'), ipset: new Fake() };
  const selected = await selectDataplane({ choice: 'auto', candidates });
  expect(selected.kind).toBe('ipset');
  expect(selected.reason).toBe('bpf is not possible here: no such system call; a detail');
});

it('takes no other than the one that was asked for', async () => {
  const candidates = { bpf: new Fake('no such system call'), ipset: new Fake() };
  const asked = selectDataplane({ choice: 'bpf', candidates });
  await expect(asked).rejects.toThrow('no data plane is possible here: bpf: no such system call');
  await expect(asked).rejects.toBeInstanceOf(NoDataplaneError);
  expect((await selectDataplane({ choice: 'ipset', candidates })).reason).toBe('it was asked for; a detail');
});

it.each(['DIRECTORY_IN_USE', 'NETWORK_IN_USE', 'ABI_MISMATCH'])(
  'takes none where the best works, but not for this agent: %s',
  async (code) => {
    const ipset = new Fake();
    const bpf = new Fake();
    ipset.open = () => Promise.reject(new Error('asked'));
    bpf.open = () => Promise.reject(Object.assign(new Error('not for you'), { code }));
    await expect(selectDataplane({ choice: 'auto', candidates: { bpf, ipset } })).rejects.toMatchObject({ code });
  },
);

it('has the other one removed once its first state is in force, not before', async () => {
  const candidates = { bpf: new Fake(), ipset: new Fake() };
  const { dataplane } = await selectDataplane({ choice: 'ipset', candidates });
  dataplane.guard(1);
  expect(candidates.bpf.removed).toBe(0);
  await dataplane.apply(EMPTY_STATE, undefined);
  await dataplane.apply(EMPTY_STATE, undefined);
  expect([candidates.bpf.removed, candidates.ipset.removed]).toEqual([1, 0]);
});

it('takes what the other one has left for something in force', async () => {
  const candidates = { bpf: new Fake(), ipset: new Fake() };
  const alone = await selectDataplane({ choice: 'auto', candidates });
  expect(alone.dataplane.inForce()).toBeUndefined();
  candidates.ipset.inForce = true;
  const { dataplane } = await selectDataplane({ choice: 'auto', candidates });
  expect(dataplane.inForce()).toEqual(new Map());
  // It judges until then, so nothing need be closed.
  const begun: string[] = [];
  Object.assign(candidates.bpf.dataplane, { begin: async (pending: string) => void begun.push(pending) });
  await dataplane.begin?.('closed');
  await alone.dataplane.begin?.('closed');
  expect(begun).toEqual(['open', 'closed']);
});

const EMPTY_STATE = {
  compiled: { endpoints: new Map(), rulesets: new Map(), sets: new Map(), memberships: new Map(), awaited: new Map() },
  bindings: new Map(),
  exits: new Map(),
  ownAddresses: new Set(),
  pending: 'open',
} as never;

describeAsRoot('on this kernel', () => {
  it('BPF is found by attaching a program to a veth of its own, which leaves nothing', async () => {
    const directory = `/sys/fs/bpf/selvedge-test-${process.pid}-select`;
    const candidates = makeCandidates({ bpf: { path: OBJECT, directory }, ipset: {} });
    const { kind, reason, dataplane } = await selectDataplane({ choice: 'auto', candidates });
    expect([kind, reason]).toEqual(['bpf', expect.stringMatching(/programs attached by (tcx|clsact)/)]);
    dataplane.close();
    await candidates.bpf.remove();
    expect(existsSync(directory)).toBe(false);
    // That of another process may begin with the same digits.
    const own = new RegExp(`^slvtry${process.pid}(?!\\d)`);
    expect(netlink.links().filter(({ name }) => own.test(name))).toEqual([]);
  });

  it('ipset is chosen where BPF cannot be loaded, for that reason', async () => {
    const namespace = new TestNamespace('select', []);
    const directory = `/sys/fs/bpf/selvedge-test-${process.pid}-none`;
    const ipset = { auditEvery: 0, within: <T>(start: () => T) => namespace.run(start) };
    try {
      const candidates = makeCandidates({ bpf: { path: '/nowhere/policy.bpf.o', directory }, ipset });
      const { kind, reason, dataplane } = await selectDataplane({ choice: 'auto', candidates });
      expect(kind).toBe('ipset');
      expect(reason).toMatch(/^bpf is not possible here: .*nowhere.*; iptables-nft: nobody else has rules$/);
      dataplane.close();
      expect(existsSync(directory)).toBe(false);
    } finally {
      namespace.close();
    }
  });
});
