import { createHash, type Hash } from 'node:crypto';
import { Refusal } from '../protocol/index.ts';
import type { AppendFile, Files } from '../trust/files.ts';
import { restore, writeCheckpoint, type Checkpoint } from './checkpoint.ts';

export interface Image {
  sha256: string;
  /** Bytes. */
  length: number;
  files: Files;
  file: string;
  progress?: (done: number, total: number) => void;
}

/** A power cut loses at most this much of what was fetched. */
const CHECKPOINT_BYTES = 4 * 1024 * 1024;

/** The bytes of one image that are there, with their hash. */
export class PartialImage {
  etag: string | undefined;
  #source: string | undefined;
  #vouchedFor: number;
  #hash: Hash;
  readonly #handle: AppendFile;
  readonly #options: Image;

  private constructor(
    handle: AppendFile,
    options: Image,
    hash: Hash,
    kept: Pick<Checkpoint, 'etag' | 'source'>,
  ) {
    this.#handle = handle;
    this.#options = options;
    this.#hash = hash;
    this.etag = kept.etag;
    this.#source = kept.source;
    this.#vouchedFor = handle.size;
  }

  static async resume(handle: AppendFile, options: Image): Promise<PartialImage> {
    const { hash, kept } = await restore(options.files, options.file, handle, options.sha256);
    return new PartialImage(handle, options, hash, kept);
  }

  /** A validator is its source's own: another one would begin anew for it. What the bytes are worth, the digest says. */
  comesFrom(source: string): void {
    if (this.#source !== source) this.etag = undefined;
    this.#source = source;
  }

  get size(): number {
    return this.#handle.size;
  }

  get range(): { from: number; ifRange?: string } | undefined {
    if (this.size === 0) return undefined;
    return this.etag === undefined ? { from: this.size } : { from: this.size, ifRange: this.etag };
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = createHash('sha256');
    this.#vouchedFor = 0;
  }

  /** @throws Refusal IMAGE_LENGTH at the first byte above the signed length. */
  async append(chunk: Uint8Array): Promise<void> {
    const { length, progress } = this.#options;
    if (this.size + chunk.length > length) throw new Refusal('IMAGE_LENGTH', `more than ${length} bytes`);
    this.#hash.update(chunk);
    await this.#handle.append(chunk);
    progress?.(this.size, length);
    if (this.size - this.#vouchedFor >= CHECKPOINT_BYTES) await this.checkpoint();
  }

  async checkpoint(): Promise<void> {
    const { files, file, sha256: image } = this.#options;
    // The bytes before the claim that they are there.
    await this.#handle.sync();
    const prefix = this.#hash.copy().digest('hex');
    const size = this.size;
    const source = this.#source === undefined ? {} : { source: this.#source };
    const etag = this.etag === undefined ? {} : { etag: this.etag };
    await writeCheckpoint(files, file, { image, size, prefix, ...etag, ...source });
    this.#vouchedFor = size;
  }

  /** After a failed attempt: keeps what may be gone on from, and nothing of an image that is not the signed one. */
  async settle(error: unknown): Promise<void> {
    const wrong =
      error instanceof Refusal && (error.code === 'IMAGE_LENGTH' || error.code === 'IMAGE_DIGEST');
    if (wrong) await this.restart();
    await this.checkpoint();
  }

  /** @throws Refusal DOWNLOAD_FAILED when bytes are missing; IMAGE_DIGEST when they are not the signed ones. */
  async finish(): Promise<void> {
    const { length, sha256 } = this.#options;
    if (this.size < length) {
      await this.checkpoint();
      throw new Refusal('DOWNLOAD_FAILED', `${this.size} of ${length} bytes arrived`);
    }
    const digest = this.#hash.copy().digest('hex');
    if (digest !== sha256) {
      const refusal = new Refusal('IMAGE_DIGEST', `${digest} instead of ${sha256}`);
      await this.settle(refusal);
      throw refusal;
    }
    await this.checkpoint();
  }
}
