/** What the kernel has counted on one node since its agent began, read from the pinned maps beside the agent. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkAbi } from '../../dataplane/bpf/abi.ts';
import { readCounts } from '../../dataplane/bpf/counts.ts';
import { EventDecoder } from '../../dataplane/bpf/events.ts';
import { makeNames } from '../../dataplane/bpf/names.ts';
import { mapDirectories } from '../../dataplane/bpf/pins.ts';
import { RuleNumbers } from '../../dataplane/bpf/rule-numbers.ts';
import { keyOf, type NetworkPolicy, type ObjectKey } from '../../model/cluster.ts';
import type { VerdictCount } from '../../model/verdict-event.ts';
import { BpfMap, BpfObject } from '../../native.ts';

const OBJECT = fileURLToPath(new URL('../../../build/policy.bpf.o', import.meta.url));

export interface CountsOptions {
  /** Where the agent pins. */
  readonly directory: string;
  /** By ifindex. */
  readonly pods: ReadonlyMap<number, ObjectKey>;
  /** Whose rules give their names. */
  readonly policies: readonly NetworkPolicy[];
}

export function readKernelCounts({ directory, pods, policies }: CountsOptions): readonly VerdictCount[] {
  const names = makeNames();
  names.pods.record(0n, pods);
  using object = BpfObject.open(OBJECT);
  const abi = checkAbi(object);
  const decoder = new EventDecoder({ abi, names, ruleNumbers: numbersOf(policies) });
  return mapDirectories(directory).flatMap((path) => {
    using counters = BpfMap.openPinned(join(path, 'counters'));
    using tallies = BpfMap.openPinned(join(path, 'tallies'));
    return readCounts({ counters, tallies }, abi).map(([key, values]) => decoder.count(key, values, 0n));
  });
}

/** Numbers follow from names, so these are the agent's. */
function numbersOf(policies: readonly NetworkPolicy[]): RuleNumbers {
  const numbers = new RuleNumbers();
  for (const policy of policies) {
    for (const direction of policy.policyTypes) {
      for (const index of policy[direction].keys()) numbers.take({ policy: keyOf(policy), direction, index });
    }
  }
  return numbers;
}
