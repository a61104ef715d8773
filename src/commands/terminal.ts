/** How standard output shows a table: coloured on terminals (and as NO_COLOR and FORCE_COLOR say), as wide as it is. */
import pc from 'picocolors';

export function terminal(): { readonly colour: boolean; readonly width: number } {
  const forced = process.env.FORCE_COLOR !== undefined && process.env.FORCE_COLOR !== '0';
  return {
    colour: pc.isColorSupported && (process.stdout.isTTY === true || forced),
    width: process.stdout.columns ?? 120,
  };
}
