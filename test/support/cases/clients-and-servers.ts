/** Policies for connections of `web` to `api` and `db`, admitted by ranges of ports. */
import type { NetworkPolicy, PolicyPort } from '../oracle/objects.ts';
import { policy } from './case.ts';

/** First of the hundred ports of connections that stay admitted, and of those that don't. */
export const KEPT = 7000;
export const REVOKED = 9000;

/** web may speak to api on its own node and to db on the other one; what is admitted at either end are these ports. */
export function admitting({
  egress,
  ingress,
}: {
  readonly egress: readonly number[];
  readonly ingress: readonly number[];
}): NetworkPolicy[] {
  const servers = [{ podSelector: { matchLabels: { tier: 'back' } } }];
  const clients = [{ podSelector: { matchLabels: { app: 'web' } } }];
  return [
    policy('shop/all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
    policy('shop/out', {
      podSelector: { matchLabels: { app: 'web' } },
      policyTypes: ['Egress'],
      egress: [{ to: servers, ports: egress.flatMap(both) }],
    }),
    policy('shop/in', {
      podSelector: { matchLabels: { tier: 'back' } },
      ingress: [{ from: clients, ports: ingress.flatMap(both) }],
    }),
  ];
}

function both(port: number): PolicyPort[] {
  return (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, port, endPort: port + 99 }));
}
