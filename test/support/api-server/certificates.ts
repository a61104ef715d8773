/** Throwaway X.509 certificates, valid for a day: Node can read them but not make them, so their DER is written here. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** In PEM. */
export interface KeyPair {
  readonly key: string;
  readonly certificate: string;
}

export interface Subject {
  readonly commonName: string;
  /** IPv4 addresses and names that the certificate is good for. */
  readonly hosts?: readonly string[];
  /** When it ends, in milliseconds from now; default a day. */
  readonly endsIn?: number;
}

const DAY = 86_400_000;
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));

export class Authority {
  readonly #name: string;
  readonly #pair: KeyPair;

  constructor(name: string) {
    this.#name = name;
    this.#pair = certify({ commonName: name }, { name, authority: true });
  }

  /** Its own certificate, in PEM. */
  get certificate(): string {
    return this.#pair.certificate;
  }

  issue(subject: Subject): KeyPair {
    return certify(subject, { name: this.#name, key: this.#pair.key });
  }
}

interface Issuer {
  readonly name: string;
  /** Absent: the certificate signs itself. */
  readonly key?: string;
  readonly authority?: boolean;
}

function certify({ commonName, hosts = [], endsIn = DAY }: Subject, { name, key, authority }: Issuer): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer: KeyObject = key === undefined ? privateKey : createPrivateKey(key);
  const extensions = [
    ...(authority
      ? [sequence(oid('551d13'), tlv(0x01, Buffer.of(0xff)), tlv(0x04, sequence(tlv(0x01, Buffer.of(0xff)))))]
      : []),
    ...(hosts.length > 0 ? [sequence(oid('551d11'), tlv(0x04, sequence(...hosts.map(hostName))))] : []),
  ];
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.of(2))),
    tlv(0x02, Buffer.concat([Buffer.of(1), randomBytes(15)])),
    ECDSA_SHA256,
    distinguishedName(name),
    sequence(utcTime(Date.now() - 2 * DAY), utcTime(Date.now() + endsIn)),
    distinguishedName(commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [tlv(0xa3, sequence(...extensions))] : []),
  );
  const signature = tlv(0x03, Buffer.concat([Buffer.of(0), sign('sha256', body, signer)]));
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate: pem(sequence(body, ECDSA_SHA256, signature)),
  };
}

/** SEQUENCE of SET of (commonName, UTF8String). */
function distinguishedName(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(oid('550403'), tlv(0x0c, Buffer.from(commonName)))));
}

/** A GeneralName: [7] an address, [2] a name. */
function hostName(host: string): Buffer {
  return isIPv4(host) ? tlv(0x87, Buffer.from(host.split('.').map(Number))) : tlv(0x82, Buffer.from(host));
}

function utcTime(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/\.\d+|[-:T]/g, '');
  return tlv(0x17, Buffer.from(digits.slice(2)));
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

/** Tag, length, value; a length from 128 on is preceded by its own size. */
function tlv(tag: number, value: Buffer): Buffer {
  if (value.length < 0x80) return Buffer.concat([Buffer.of(tag, value.length), value]);
  const length = Buffer.from(value.length.toString(16).replace(/^(?=(..)*.$)/, '0'), 'hex');
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, value]);
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
