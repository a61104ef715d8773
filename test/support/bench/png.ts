/** A PNG -> its pixels, as far as the project writes them: 8 bits for each of red, green, blue and transparency, not interlaced. */
import { inflateSync } from 'node:zlib';

export interface Image {
  readonly width: number;
  readonly height: number;
  /** Four bytes for each pixel, line by line. */
  readonly pixels: Uint8Array;
}

const SIGNATURE = '89504e470d0a1a0a';
const BYTES = 4;

/** @throws Error it is none, or another kind of it */
export function decodePng(png: Uint8Array): Image {
  const bytes = Buffer.from(png);
  if (bytes.subarray(0, 8).toString('hex') !== SIGNATURE) throw new Error('no PNG');
  const data: Buffer[] = [];
  for (let at = 8; at < bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    if (bytes.toString('latin1', at + 4, at + 8) === 'IDAT')
      data.push(bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at)));
  }
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  if (bytes.subarray(24, 29).toString('hex') !== '0806000000') throw new Error('another kind of PNG');
  return { width, height, pixels: unfiltered(inflateSync(Buffer.concat(data)), width * BYTES, height) };
}

/** Each line begins with how its bytes are told by those left of and above them. */
function unfiltered(lines: Uint8Array, stride: number, height: number): Uint8Array {
  const pixels = new Uint8Array(stride * height);
  for (let line = 0; line < height; line++) {
    const filter = lines[line * (stride + 1)] ?? 0;
    for (let column = 0; column < stride; column++) {
      const at = line * stride + column;
      const left = column < BYTES ? 0 : (pixels[at - BYTES] ?? 0);
      const above = line === 0 ? 0 : (pixels[at - stride] ?? 0);
      const corner = line === 0 || column < BYTES ? 0 : (pixels[at - stride - BYTES] ?? 0);
      const told = guess(filter, left, above, corner);
      pixels[at] = (lines[line * (stride + 1) + 1 + column] ?? 0) + told;
    }
  }
  return pixels;
}

function guess(filter: number, left: number, above: number, corner: number): number {
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  return filter === 4 ? paeth(left, above, corner) : 0;
}

/** Whichever of the three is nearest to left + above - corner. */
function paeth(left: number, above: number, corner: number): number {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}
