/** The interfaces that are ports of a bridge, and what is missing for packets between them to be judged. */
import type { Family } from '../../model/address.ts';
import { netlink } from '../../native.ts';
import type { DesiredState, Unprotected } from '../contract.ts';
import { missingBridgeSysctls, setBridgeSysctls } from './bridge-sysctls.ts';
import type { IpsetDataplaneOptions } from './options.ts';
import type { Programs } from './programs.ts';

export class BridgePorts {
  readonly #programs: Programs;
  readonly #families: readonly Family[];
  readonly #options: Pick<IpsetDataplaneOptions, 'setSysctls' | 'onUnprotected'>;
  #unprotected: readonly Unprotected[] = [];

  constructor(
    programs: Programs,
    families: readonly Family[],
    options: Pick<IpsetDataplaneOptions, 'setSysctls' | 'onUnprotected'>,
  ) {
    this.#programs = programs;
    this.#families = families;
    this.#options = options;
  }

  /** As of the last look; empty when all pods are enforced. */
  get unprotected(): readonly Unprotected[] {
    return this.#unprotected;
  }

  links(): netlink.Link[] {
    return this.#programs.within(() => netlink.links());
  }

  /**
   * Looks at the kernel's settings, and mends them where that is wanted. Its list of links is asked for once: whoever changes
   * an interface meanwhile is waited for.
   * @returns names of the ports
   */
  look({ bindings }: DesiredState): ReadonlySet<string> {
    const bridged = new Set(this.links().flatMap(({ name, master }) => (master === undefined ? [] : [name])));
    const pods = [...bindings.values()].flatMap((binding) => {
      return binding.kind === 'endpoint' && bridged.has(binding.link.name) ? [binding.pod] : [];
    });
    const missing = this.#programs.within(() => {
      if (this.#options.setSysctls) setBridgeSysctls(this.#families);
      return missingBridgeSysctls(this.#families);
    });
    const reason = `packets between pods of one bridge are not judged: ${missing.join(' and ')} must be 1`;
    const before = JSON.stringify(this.#unprotected);
    this.#unprotected = missing.length === 0 || pods.length === 0 ? [] : [{ reason, pods }];
    if (JSON.stringify(this.#unprotected) !== before) this.#options.onUnprotected?.(this.#unprotected);
    return bridged;
  }
}
