/** Every check, in the order in which it is told. */
import type { Check } from './check.ts';
import { agentChecks } from './checks/agent.ts';
import { cniChecks } from './checks/cni.ts';
import { dataplaneChecks } from './checks/dataplane.ts';
import { engineChecks } from './checks/engines.ts';
import { kernelChecks } from './checks/kernel.ts';
import { markChecks } from './checks/marks.ts';
import { serviceChecks } from './checks/services.ts';

export const CHECKS: readonly Check[] = [
  ...kernelChecks,
  ...dataplaneChecks,
  ...cniChecks,
  ...serviceChecks,
  ...engineChecks,
  ...markChecks,
  ...agentChecks,
];
