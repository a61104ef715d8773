/**
 * The case table: every rule of the NetworkPolicy API's text as one named case. The oracle, the compiled state and the
 * kernel must each give these verdicts.
 */
import type { SemanticCase } from './case.ts';
import { ipBlockCases } from './ip-blocks.ts';
import { isolationCases } from './isolation.ts';
import { namedPortCases } from './named-ports.ts';
import { peerCases } from './peers.ts';
import { podCases } from './pods.ts';
import { portCases } from './ports.ts';
import { selectorCases } from './selectors.ts';

export const semanticCases: readonly SemanticCase[] = [
  ...isolationCases,
  ...peerCases,
  ...selectorCases,
  ...ipBlockCases,
  ...portCases,
  ...namedPortCases,
  ...podCases,
];
