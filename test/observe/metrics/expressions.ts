/** A PromQL expression -> the metrics that it asks for, with the labels that it names of each. */
import { parser } from '@prometheus-io/lezer-promql';

export interface Asked {
  readonly metric: string;
  readonly labels: readonly string[];
}

/** What Grafana puts in before Prometheus sees it. */
const VARIABLES = /\$__rate_interval|\$__interval/g;

/** @throws Error it is not PromQL */
export function askedBy(expression: string): Asked[] {
  const text = expression.replaceAll(VARIABLES, '5m');
  const asked: Asked[] = [];
  const grouping: string[] = [];
  parser.parse(text).iterate({
    enter: ({ type, from, to, node }) => {
      if (type.isError) throw new Error(`not PromQL at ${from}: ${text}`);
      if (type.name === 'GroupingLabels') {
        grouping.push(...node.getChildren('LabelName').map((label) => text.slice(label.from, label.to)));
      }
      if (type.name !== 'VectorSelector') return;
      const matchers = [...text.slice(from, to).matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label = '']) => label);
      asked.push({ metric: /^\w+/.exec(text.slice(from, to))?.[0] ?? '', labels: matchers });
    },
  });
  return asked.map(({ metric, labels }) => ({ metric, labels: [...labels, ...grouping] }));
}
