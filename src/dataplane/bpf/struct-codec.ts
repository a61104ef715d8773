/**
 * Records <-> bytes, after a C struct's layout as BTF tells it. Fields of network byte order with four or more bytes are
 * addresses and stay bytes, as do records within records; everything else is a number (a bigint where it has 64 bits). Fields called `pad` are zero.
 */
import { endianness } from 'node:os';
import type { Member, StructLayout } from '../../native.ts';

export type FieldValue = number | bigint | Uint8Array;
/** A record of a struct with the fields F. */
export type StructRecord<F extends string> = Readonly<Record<F, FieldValue>>;

export const MACHINE_IS_LITTLE = endianness() === 'LE';

export class StructCodec<F extends string = string> {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly #members: readonly Member[];

  constructor(layout: StructLayout) {
    this.name = layout.name;
    this.size = layout.size;
    this.#members = layout.members.filter((member) => member.name !== 'pad');
  }

  /** @throws RangeError when bytes do not have exactly the field's length */
  encode(record: StructRecord<F>): Uint8Array {
    const bytes = new Uint8Array(this.size);
    this.write(record, new DataView(bytes.buffer), 0);
    return bytes;
  }

  /** Puts the record's bytes at a place of which all bytes are zero. @throws RangeError as `encode` does */
  write(record: StructRecord<F>, into: DataView, at: number): void {
    for (const member of this.#members) write(into, at + member.offset, member, record[member.name as F]);
  }

  decode(bytes: Uint8Array): Record<F, FieldValue> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const record: Partial<Record<string, FieldValue>> = {};
    for (const member of this.#members) record[member.name] = read(view, member);
    return record as Record<F, FieldValue>;
  }
}

/** Whether a field is decoded as bytes. */
function isBytes(member: Member): boolean {
  return member.kind === 'array' || member.kind === 'struct' || (member.bigEndian && member.size >= 4);
}

function write(view: DataView, at: number, member: Member, value: FieldValue): void {
  if (value instanceof Uint8Array) {
    if (value.length !== member.size) {
      throw new RangeError(`${member.name}: ${value.length} bytes for a field of ${member.size}`);
    }
    new Uint8Array(view.buffer, view.byteOffset).set(value, at);
    return;
  }
  const little = MACHINE_IS_LITTLE && !member.bigEndian;
  if (member.size === 1) view.setUint8(at, Number(value));
  else if (member.size === 2) view.setUint16(at, Number(value), little);
  else if (member.size === 4) view.setUint32(at, Number(value), little);
  else if (member.size === 8) view.setBigUint64(at, BigInt(value), little);
  else throw new RangeError(`${member.name}: a number for a field of ${member.size} bytes`);
}

function read(view: DataView, member: Member): FieldValue {
  if (isBytes(member)) return new Uint8Array(view.buffer, view.byteOffset + member.offset, member.size).slice();
  const little = MACHINE_IS_LITTLE && !member.bigEndian;
  switch (member.size) {
    case 1:
      return view.getUint8(member.offset);
    case 2:
      return view.getUint16(member.offset, little);
    case 4:
      return view.getUint32(member.offset, little);
    case 8:
      return view.getBigUint64(member.offset, little);
    default:
      throw new RangeError(`${member.name}: a field of ${member.size} bytes is no number`);
  }
}
