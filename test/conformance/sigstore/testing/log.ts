/** A transparency log with other people's entries around ours: Rekor v1 with promises, or v2 with notes that witnesses sign too. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { canonicalBytes } from '@tidegate/client-sdk/trust/tuf';

/** As protobuf JSON of a bundle has it. */
export interface LogEntry {
  logIndex: string;
  logId: { keyId: string };
  kindVersion: { kind: string; version: string };
  integratedTime: string;
  inclusionPromise?: { signedEntryTimestamp: string };
  inclusionProof: {
    logIndex: string;
    rootHash: string;
    treeSize: string;
    hashes: string[];
    checkpoint?: { envelope: string };
  };
  canonicalizedBody: string;
}

export interface Body {
  kind: string;
  apiVersion: string;
  spec: object;
}

export class Log {
  readonly api: 1 | 2;
  readonly host: string;
  readonly id: Buffer;
  readonly #key: { publicKey: KeyObject; privateKey: KeyObject };

  constructor(api: 1 | 2, host: string) {
    this.api = api;
    this.host = host;
    this.#key =
      api === 1 ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' }) : generateKeyPairSync('ed25519');
    this.id = api === 1 ? hash(this.#spki) : noteKeyId(host, this.#raw);
  }

  get #spki(): Buffer {
    return this.#key.publicKey.export({ format: 'der', type: 'spki' });
  }
  get #raw(): Buffer {
    return this.#spki.subarray(-32);
  }

  /** As `tlogs` of a trusted root names it. */
  get instance() {
    return {
      baseUrl: `https://${this.host}`,
      hashAlgorithm: 'SHA2_256',
      publicKey: {
        rawBytes: this.#spki.toString('base64'),
        keyDetails: this.api === 1 ? 'PKIX_ECDSA_P256_SHA_256' : 'PKIX_ED25519',
        validFor: { start: '2020-01-01T00:00:00Z' } as { start?: string; end?: string },
      },
      logId: { keyId: this.id.toString('base64') },
    };
  }

  /** @param at milliseconds */
  entry(body: Body, at: number, { place = 5, size = 11 } = {}): LogEntry {
    const bytes = canonicalBytes(body);
    const leaves = Array.from({ length: size }, (_, i) =>
      i === place ? bytes : Buffer.from(`another entry, ${i}`),
    ).map((leaf) => hash(Buffer.from([0]), leaf));
    const root = rootOf(leaves);
    const time = this.api === 1 ? at / 1000 : 0;
    const entry: LogEntry = {
      logIndex: String(place + 1_000_000),
      logId: { keyId: this.id.toString('base64') },
      kindVersion: { kind: body.kind, version: body.apiVersion },
      integratedTime: String(time),
      inclusionProof: {
        logIndex: String(place),
        rootHash: root.toString('base64'),
        treeSize: String(size),
        hashes: proofOf(leaves, place).map((one) => one.toString('base64')),
        checkpoint: { envelope: this.checkpoint(size, root) },
      },
      canonicalizedBody: bytes.toString('base64'),
    };
    if (this.api === 1) entry.inclusionPromise = { signedEntryTimestamp: this.#promise(entry) };
    return entry;
  }

  #promise({ canonicalizedBody, integratedTime, logIndex }: LogEntry): string {
    const promised = canonicalBytes({
      body: canonicalizedBody,
      integratedTime: Number(integratedTime),
      logID: this.id.toString('hex'),
      logIndex: Number(logIndex),
    });
    return this.#sign(promised).toString('base64');
  }

  checkpoint(size: number, root: Buffer): string {
    const note = `${this.host}\n${size}\n${root.toString('base64')}\n`;
    return `${note}\n${this.signatureLine(note)}`;
  }

  signatureLine(note: string, name = this.host): string {
    const signature = Buffer.concat([this.id.subarray(0, 4), this.#sign(Buffer.from(note))]);
    return `— ${name} ${signature.toString('base64')}\n`;
  }

  #sign(message: Buffer): Buffer {
    return sign(this.api === 1 ? 'sha256' : null, message, this.#key.privateKey);
  }
}

/** C2SP signed-note: SHA-256 of name, newline, algorithm and key. */
function noteKeyId(name: string, key: Buffer): Buffer {
  return hash(Buffer.from(`${name}\n`), Buffer.from([1]), key);
}

/** RFC 9162 2.1.1 */
function rootOf(leaves: Buffer[]): Buffer {
  if (leaves.length === 1) return leaves[0]!;
  const half = splitOf(leaves.length);
  return hash(Buffer.from([1]), rootOf(leaves.slice(0, half)), rootOf(leaves.slice(half)));
}

/** RFC 9162 2.1.3.1 */
function proofOf(leaves: Buffer[], place: number): Buffer[] {
  if (leaves.length === 1) return [];
  const half = splitOf(leaves.length);
  return place < half
    ? [...proofOf(leaves.slice(0, half), place), rootOf(leaves.slice(half))]
    : [...proofOf(leaves.slice(half), place - half), rootOf(leaves.slice(0, half))];
}

function splitOf(size: number): number {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
}

export function hash(...parts: Uint8Array[]): Buffer {
  const hasher = createHash('sha256');
  for (const part of parts) hasher.update(part);
  return hasher.digest();
}
