/** Numbers of a report -> what a person reads: as many digits as tell something. */
import type { Ratio, Topology, Traffic } from '../contract.ts';

/** Three digits; from a thousand on whole. `0.412`, `51.2`, `1,234`, `1.25M` */
export function formatValue(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${digits(value / 1e6, 3)}M`;
  if (size >= 1_000) return Math.round(value).toLocaleString('en');
  return size === 0 ? '0' : digits(value, 3);
}

/** `1.04`, `11.3`, `82` */
export function formatRatio(value: number): string {
  return value.toFixed(decimals(value));
}

/** A ratio with how far its quartiles are off; `≈1` where it tells no difference. */
export function formatRatioWithSpread(ratio: Ratio): string {
  const told = formatRatio(ratio.median);
  return ratio.differs && told !== '1.00' ? `${told}${spreadText(ratio)}` : '≈1';
}

/** ` ±0.02`, with the digits of the ratio; nothing where those would all be zeros. */
function spreadText({ median, low, high }: Ratio): string {
  const off = Math.max(high - median, median - low).toFixed(decimals(median));
  return Number(off) === 0 ? '' : `±${off.replace(/^0\./, '.')}`;
}

function decimals(value: number): number {
  return value < 10 ? 2 : value < 30 ? 1 : 0;
}

function digits(value: number, count: number): string {
  const before = Math.floor(Math.log10(Math.abs(value))) + 1;
  return value.toFixed(Math.min(4, Math.max(0, count - before)));
}

export function topologyText(topology: Topology): string {
  return topology === 'one-node' ? 'one node' : 'two nodes';
}

export function trafficText(traffic: Traffic): string {
  return {
    allowed: 'allowed',
    denied: 'denied',
    unselected: 'under no policy',
  }[traffic];
}
