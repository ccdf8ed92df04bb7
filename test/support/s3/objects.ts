/** A bucket's objects and unfinished uploads, on disk: an object is one file, or one for each part. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, openSync, type ReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { S3Error } from './error.ts';

export interface Piece {
  file: string;
  length: number;
  /** Hex. */
  md5: string;
}

export interface Received extends Piece {
  sha256: string;
  /** Base64 of four bytes, as in `x-amz-checksum-crc32`. */
  crc32: string;
}

export interface StoredObject {
  pieces: Piece[];
  length: number;
  /** Without quotes. */
  etag: string;
  headers: Record<string, string>;
}

interface Upload {
  key: string;
  headers: Record<string, string>;
  parts: Map<number, Piece>;
}

export interface Conditions {
  ifMatch: string | undefined;
  ifNoneMatch: string | undefined;
}

/** All parts but the last have at least this many bytes. docs.aws.amazon.com, "Amazon S3 multipart upload limits" */
const LEAST_PART = 5 * 1024 * 1024;

export class Objects {
  readonly objects = new Map<string, StoredObject>();
  readonly uploads = new Map<string, Upload>();
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param length stops here, so that a connection may be cut in the middle. */
  async receive(body: AsyncIterable<Buffer>, length = Infinity): Promise<Received> {
    const file = join(this.#folder, randomBytes(12).toString('hex'));
    const [md5, sha256] = [createHash('md5'), createHash('sha256')];
    let crc = 0;
    let received = 0;
    const handle = await open(file, 'wx');
    try {
      for await (const chunk of body) {
        md5.update(chunk);
        sha256.update(chunk);
        crc = crc32(chunk, crc);
        received += chunk.length;
        await handle.writeFile(chunk);
        if (received >= length) break;
      }
    } finally {
      await handle.close();
    }
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc);
    return {
      file,
      length: received,
      md5: md5.digest('hex'),
      sha256: sha256.digest('hex'),
      crc32: sum.toString('base64'),
    };
  }

  /** One step of JavaScript, so two never meet the same state. */
  put(key: string, piece: Piece, headers: Record<string, string>, conditions: Conditions): StoredObject {
    this.#require(key, conditions);
    return this.#store(key, { pieces: [piece], length: piece.length, etag: piece.md5, headers });
  }

  remove(key: string): void {
    this.objects.delete(key);
  }

  create(key: string, headers: Record<string, string>): string {
    const id = randomBytes(16).toString('hex');
    this.uploads.set(id, { key, headers, parts: new Map() });
    return id;
  }

  upload(id: string, key: string): Upload {
    const upload = this.uploads.get(id);
    if (upload?.key !== key) throw new S3Error(404, 'NoSuchUpload');
    return upload;
  }

  complete(
    id: string,
    key: string,
    listed: { number: number; etag: string }[],
    conditions: Conditions,
  ): StoredObject {
    const { parts, headers } = this.upload(id, key);
    const pieces = listed.map(({ number, etag }, i) => {
      const part = parts.get(number);
      if (part?.md5 !== etag) throw new S3Error(400, 'InvalidPart');
      if (i > 0 && number <= (listed[i - 1]?.number ?? 0)) throw new S3Error(400, 'InvalidPartOrder');
      if (i < listed.length - 1 && part.length < LEAST_PART) throw new S3Error(400, 'EntityTooSmall');
      return part;
    });
    if (pieces.length === 0) throw new S3Error(400, 'MalformedXML');
    this.#require(key, conditions);
    const digests = Buffer.concat(pieces.map(({ md5 }) => Buffer.from(md5, 'hex')));
    const etag = `${createHash('md5').update(digests).digest('hex')}-${pieces.length}`;
    this.uploads.delete(id);
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    return this.#store(key, { pieces, length, etag, headers });
  }

  /** Opened at once, so that whoever reads goes on reading what was there. */
  read(object: StoredObject, start: number, end: number): ReadStream[] {
    const streams: ReadStream[] = [];
    let at = 0;
    for (const { file, length } of object.pieces) {
      const [from, to] = [Math.max(start - at, 0), Math.min(end - at, length - 1)];
      at += length;
      if (from > to) continue;
      streams.push(createReadStream(file, { fd: openSync(file, 'r'), start: from, end: to }));
    }
    return streams;
  }

  #require(key: string, { ifMatch, ifNoneMatch }: Conditions): void {
    const there = this.objects.get(key);
    if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw new S3Error(501, 'NotImplemented');
    if (ifNoneMatch === '*' && there !== undefined) throw new S3Error(412, 'PreconditionFailed');
    if (ifMatch === undefined) return;
    if (there === undefined) throw new S3Error(404, 'NoSuchKey');
    if (ifMatch.replaceAll('"', '') !== there.etag) throw new S3Error(412, 'PreconditionFailed');
  }

  #store(key: string, object: StoredObject): StoredObject {
    const before = this.objects.get(key);
    this.objects.set(key, object);
    // Who reads it has it open.
    for (const { file } of before?.pieces ?? []) void rm(file, { force: true });
    return object;
  }
}
