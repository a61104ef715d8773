// Promise 4 by real connections, on both data planes: who asks a Service, or comes through one, is judged as who it is, and where it arrives.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KINDS } from '../../src/dataplane/select.ts';
import type { Lab } from '../../src/lab/lab.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { ServedLab } from './served-lab.ts';
import { FAMILIES, type ServiceCase, serviceCases } from './service-cases.ts';
import { ask } from './small-cluster.ts';

for (const dataplane of KINDS) {
  describeAsRoot(`traffic to Services, judged by ${dataplane}`, () => {
    let served: ServedLab;

    beforeAll(async () => {
      served = await ServedLab.start(dataplane);
    });

    afterAll(() => served?.close());

    for (const { name, policies, expectations } of serviceCases) {
      it(name, async () => {
        await served.enforce(policies);
        await compare(served.lab, expectations);
      });
    }
  });
}

/** Each question is answered by that pod, or denied, in both families. */
async function compare(lab: Lab, expectations: ServiceCase['expectations']): Promise<void> {
  const asked = FAMILIES.flatMap((family) =>
    expectations.map(([from, to, port, answer]) => {
      const [source, target] = [from, to].map((end) => (typeof end === 'string' ? end : end[family])) as [
        string,
        string,
      ];
      return { question: `${source} → ${target} ${port}`, query: ask(source, target, port, family), answer };
    }),
  );
  const outcomes = await lab.probeAll(asked.map(({ query }) => query));
  const answers = outcomes.map((one, index) => {
    const said = one.verdict === 'error' ? one.reason : one.verdict === 'deny' ? 'deny' : (one.answeredBy ?? 'refused');
    return `${asked[index]?.question}: ${said}`;
  });
  expect(answers).toEqual(asked.map(({ question, answer }) => `${question}: ${answer}`));
}
