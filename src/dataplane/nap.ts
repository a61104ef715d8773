/** Sleep of the whole thread, for what cannot wait for another turn of the event loop, or would lose too much by it. */

const bed = new Int32Array(new SharedArrayBuffer(4));

export function nap(milliseconds: number): void {
  Atomics.wait(bed, 0, 0, milliseconds);
}
