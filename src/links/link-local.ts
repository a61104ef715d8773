import type { Address } from '../model/address.ts';

/** fe80::/10. */
export function isLinkLocal6(address: Address): boolean {
  return /^fe[89ab][0-9a-f]:/.test(address);
}
