/** States under which flows are looked at: who may begin what, and what of it is taken away. */
import { PLACES, port, RULESET, type State } from './state.ts';

const { apiIngress, apiEgress, webEgress, webIngress } = RULESET;

/** web may go to api on 8080 and 53 and nowhere else, api takes only that, and neither may begin anything towards web. */
export const BOTH: State = {
  ...PLACES,
  endpoints: { web: { egress: webEgress, ingress: webIngress }, api: { ingress: apiIngress, egress: apiEgress } },
  rows: [
    { ruleset: webEgress, peer: 'api', ports: [port('tcp', 8080), port('udp', 53), port('sctp', 9)] },
    { ruleset: apiIngress, peer: 'web', ports: [port('tcp', 8080), port('udp', 53), port('sctp', 9)] },
  ],
};
export const NOTHING: State = { ...BOTH, rows: [] };
export const WITHOUT_EGRESS: State = { ...BOTH, rows: [BOTH.rows?.[1] as NonNullable<State['rows']>[0]] };
export const WITHOUT_INGRESS: State = { ...BOTH, rows: [BOTH.rows?.[0] as NonNullable<State['rows']>[0]] };
