// What a running agent says on its socket, and the commands that ask it: in the shop of the examples, on both data planes.

import { statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { askAgent, followAgent } from '../../src/api/client.ts';
import { type Flow, type FlowLine, PATHS, type PolicyStatus, type Status } from '../../src/api/contract.ts';
import { mapDirectories } from '../../src/dataplane/bpf/pins.ts';
import { BpfMap } from '../../src/native.ts';
import { folderWith, selvedge } from '../observe/command.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { SHOP, ShopLab } from './shop-lab.ts';

const DATAPLANES = ['bpf', 'ipset'] as const;
const UNDER = ['database/database-from-api', 'database/default-deny-all'];

for (const dataplane of DATAPLANES)
  describeAsRoot(`the API of an agent, ${dataplane}`, () => {
    let shop: ShopLab;
    beforeAll(async () => {
      shop = await ShopLab.start(dataplane);
    });
    afterAll(async () => {
      await shop?.close();
    });

    const ask = (...args: readonly string[]) => selvedge([...args, '--socket', shop.socket(2)]);
    const json = async <T>(...args: readonly string[]) => JSON.parse((await ask(...args)).stdout) as T;

    it('is for its owner alone', () => {
      expect(statSync(shop.socket(2)).mode & 0o777).toBe(0o600);
    });

    it('says how the node is', async () => {
      const status = await json<Status>('status', '-o', 'json');
      expect(status).toMatchObject({
        node: 'node2',
        ready: true,
        faults: [],
        dataplane: { kind: dataplane, reason: expect.stringContaining('it was asked for') },
        sources: { kind: 'directory', synced: true },
        interfaces: { enforced: 3, pending: [] },
        pods: { known: 3, isolated: 2 },
        warnings: [],
      });
      expect(status.policies).toContainEqual({ policy: UNDER[0], policyTypes: ['ingress'], selects: 1 });
      expect(status.policies.map(({ policy }) => policy)).not.toContain('api/api-from-web');
      expect(status.lastUpdate?.writes).toBeGreaterThan(0);
      expect(status.maps.length).toBeGreaterThan(0);
      for (const { entries, capacity } of status.maps) expect(entries).toBeLessThanOrEqual(capacity);

      const { code, stdout } = await ask('status');
      expect(code).toBe(0);
      expect(stdout).toMatch(/^state +ready$/m);
      expect(stdout).toMatch(/^database\/default-deny-all +ingress, egress +1$/m);
    });

    it('says on which pods a policy is enforced, and since when', async () => {
      const status = await json<PolicyStatus>('status', '--policy', UNDER[0] as string, '-o', 'json');
      expect(status).toMatchObject({ policy: UNDER[0], selects: 1, warnings: [] });
      expect(status.pods).toEqual([{ pod: 'database/database', state: 'enforced', since: expect.any(String) }]);
      expect(Date.parse(status.pods[0]?.since as string)).toBeLessThanOrEqual(Date.now());

      const none = await ask('status', '--policy', 'database/none');
      expect(none).toMatchObject({ code: 1, stderr: 'selvedge: there is no NetworkPolicy database/none\n' });
      expect((await ask('status', '--policy', 'database')).code).toBe(2);
    });

    it('names who was dropped and by which policies, at once and afterwards', async () => {
      const parameters = { follow: 'true', last: '0', from: 'intruder/intruder', port: '5432/tcp' };
      const ends = new AbortController();
      const live = followAgent<FlowLine>(shop.socket(2), PATHS.flows, { parameters, signal: ends.signal });
      const first = live.next();
      // The agent has the reader once it has answered anything that was asked after it.
      await askAgent(shop.socket(2), PATHS.status);
      expect(await shop.reaches('intruder/intruder', 'database/database', 5432)).toBe(false);
      const flow = (await first).value as Flow;
      ends.abort();
      expect(flow).toMatchObject({
        kind: 'flow',
        node: 'node2',
        verdict: 'deny',
        reason: 'drop-policy',
        direction: 'ingress',
        from: { pod: 'intruder/intruder' },
        to: { pod: 'database/database' },
        protocol: 'TCP',
        port: 5432,
        policies: UNDER,
        count: 1,
      });
      const { stdout } = await ask(
        'flows',
        '--pod',
        'intruder/intruder',
        '--policy',
        UNDER[0] as string,
        '--since',
        '1m',
      );
      expect(stdout).toMatch(
        /denied +intruder\/intruder +database\/database +5432\/tcp +ingress isolated by database\/database-from-api, database\/default-deny-all/,
      );
      const elsewhere = await ask('flows', '--from', '192.0.2.0/24', '-o', 'json');
      expect(elsewhere).toEqual({ code: 0, stdout: '', stderr: '' });
    });

    it('explains as the manifests do', async () => {
      const ends = ['--from', 'intruder/intruder', '--to', 'database/database', '--port', '5432'];
      const { code, stdout } = await ask('explain', ...ends);
      expect(code).toBe(0);
      expect(stdout).toContain('denied: intruder/intruder');
      for (const policy of UNDER) expect(stdout).toContain(policy);
      const manifests = (...args: readonly string[]) => selvedge(['explain', ...args, '--manifests', SHOP]);
      const unknown = ['--from', 'shop/nobody', '--to', 'web/web-1', '--port', '80'];
      for (const args of [ends, [...ends, '-o', 'json'], [...ends, '-o', 'jsonl'], unknown]) {
        expect(await ask('explain', ...args)).toEqual(await manifests(...args));
      }
      const lines = [
        { id: 1, from: 'intruder/intruder', to: 'database/database', port: 5432 },
        { id: 2, from: 'shop/nobody', to: 'database/database', port: 5432 },
        { id: 3, from: 'api/api', to: 'database/database', port: 5432 },
      ];
      const file = join(folderWith({ queries: lines.map((line) => JSON.stringify(line)).join('\n') }), 'queries');
      for (const output of ['text', 'json', 'jsonl']) {
        const args = ['--queries', file, '-o', output];
        const answers = await ask('explain', ...args);
        expect(answers).toMatchObject({ code: 1, stderr: 'selvedge: there is no pod shop/nobody\n' });
        expect(answers).toEqual(await manifests(...args));
      }
    });

    it('counts verdicts by pod and by policy for Prometheus', async () => {
      expect(await shop.reaches('intruder/intruder', 'database/database', 5432)).toBe(false);
      const text = await page(shop.socket(2), PATHS.metrics);
      const dropped = `selvedge_policy_verdicts_total{policy="${UNDER[0]}",direction="ingress",verdict="deny"} `;
      const line = text.split('\n').find((one) => one.startsWith(dropped));
      expect(Number(line?.slice(dropped.length))).toBeGreaterThan(0);
      expect(text).toContain(`selvedge_dataplane_info{kind="${dataplane}",reason="`);
      expect(text).toMatch(/^selvedge_ready 1$/m);
      expect(text).toMatch(/^selvedge_update_seconds_count [1-9]/m);
    });

    it('says what is wrong with what is asked', async () => {
      const wrong = (path: string, options: { method?: 'GET' | 'POST'; body?: unknown } = {}) => {
        return askAgent(shop.socket(2), path, options).catch(({ code, message }) => `${code}: ${message}`);
      };
      expect(await wrong('/v2/status')).toMatch(/^NOT_FOUND: there is no \/v2\/status/);
      expect(await wrong(`${PATHS.policies}%ZZ`)).toBe('REQUEST: %ZZ is not encoded as a path is');
      expect(await wrong(PATHS.verify)).toBe('METHOD: /v1/verify is asked by POST, not GET');
      expect(await wrong(`${PATHS.flows}?colour=red`)).toBe('FLOW_QUERY: flows have no parameter colour');
      expect(await wrong(`${PATHS.flows}?last=many`)).toBe('FLOW_QUERY: last must be a number from 0, not "many"');
      expect(await wrong(`${PATHS.flows}?last=`)).toBe('FLOW_QUERY: last must be a number from 0, not ""');
      expect(await wrong(`${PATHS.flows}?follow=yes`)).toBe('FLOW_QUERY: follow must be true or false, not "yes"');
      expect(await wrong(`${PATHS.flows}?pod=a/b&pod=a/c`)).toBe('FLOW_QUERY: pod is given more than once');
      expect(await wrong(PATHS.explain, { method: 'POST', body: 'x' })).toMatch(/^QUERY: /);
      expect(await wrong(PATHS.explain, { method: 'POST', body: 'x'.repeat(70_000) })).toMatch(/^TOO_LARGE: /);
      const filters = [
        ['--pod', 'web'],
        ['--verdict', 'maybe'],
        ['--port', '80/http'],
        ['--since', 'yesterday'],
      ] as const;
      for (const [option, value] of filters) {
        const { code, stderr } = await ask('flows', option, value);
        expect(code).toBe(2);
        expect(stderr).toContain(`${option.slice(2)} must be`);
        expect(stderr).toContain(JSON.stringify(value));
      }
    });

    it('finds the kernel equal to its state', async () => {
      const { code, stdout } = await ask('explain', '--verify');
      expect(stdout).toMatch(/^equal: the kernel holds what the agent says, \d+ entries/);
      expect(code).toBe(0);
    });
  });

describeAsRoot('what is not as the agent left it', () => {
  it('is named, map by map', async () => {
    const shop = await ShopLab.start('bpf');
    try {
      const [node] = shop.lab.interfaces();
      const [maps = ''] = mapDirectories(shop.agents.pinDirOf(node?.namespace as string));
      const verify = () => selvedge(['explain', '--verify', '--socket', shop.socket(1)]);
      using generation = BpfMap.openPinned(join(maps, 'generation'));
      const [[, value] = []] = generation.entries();
      const side = (value?.[0] ?? 0) & 1 ? 'right' : 'left';
      for (const name of ['ipcache4', 'policy', 'endpoints', 'cidrs6', 'settings']) {
        using map = BpfMap.openPinned(join(maps, `${name}_${side}`));
        const [key, before] = map.entries().find(([, bytes]) => bytes.some((byte) => byte !== 0)) as [Buffer, Buffer];
        map.set(
          key,
          before.map((byte) => byte ^ 1),
        );
        const { code, stdout } = await verify();
        map.set(key, before);
        expect(code, name).toBe(1);
        expect(stdout, name).toMatch(
          new RegExp(`^different: 1 of \\d+ entries[\\s\\S]*^  ${name} .*: should be .*; is `, 'm'),
        );
      }
      expect((await verify()).code).toBe(0);
    } finally {
      await shop.close();
    }
  });
});

/** A page as it is. */
function page(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}
