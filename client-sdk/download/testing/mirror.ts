/** A file server on loopback that serves one image, rightly unless a test lets it answer otherwise. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../protocol/index.ts';
import { diskFiles } from '../../trust/disk-files.ts';
import type { Files } from '../../trust/files.ts';
import { downloadImage, type DownloadFetch, type DownloadOptions } from '../index.ts';

export const image = randomBytes(9 * 1024 * 1024 + 17);
export const sha256 = createHash('sha256').update(image).digest('hex');
export const FILE = 'images/a.raucb';
export const ETAG = '"one"';

/** A clock that never gets to the end of a window. */
export const stopped: Clock = { now: () => 0, sleep: (_, signal) => aborted(signal) };
/** A clock whose windows are short. */
export const hurried: Clock = {
  now: () => 0,
  sleep: async () => new Promise((done) => setTimeout(done, 20)),
};

export function aborted(signal?: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Range, If-Range, ETag. */
export function serving(bytes: Buffer = image, etag: string = ETAG): Answer {
  return (request, response) => {
    const from = rangeOf(request);
    const stale = request.headers['if-range'] !== undefined && request.headers['if-range'] !== etag;
    if (from === undefined || stale) {
      response.writeHead(200, { 'content-length': bytes.length, etag }).end(bytes);
      return;
    }
    const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
    response.writeHead(206, { 'content-range': range, etag }).end(bytes.subarray(from));
  };
}

/** Sends `count` bytes and breaks the connection. */
export function breakingAfter(count: number): Answer {
  return (request, response) => {
    const from = rangeOf(request) ?? 0;
    const range = { 'content-range': `bytes ${from}-${image.length - 1}/${image.length}` };
    response.writeHead(from === 0 ? 200 : 206, { ...(from === 0 ? {} : range), etag: ETAG });
    response.write(image.subarray(from, from + count), () => response.destroy());
  };
}

export function status(code: number): Answer {
  return (_, response) => response.writeHead(code).end();
}

function rangeOf(request: IncomingMessage): number | undefined {
  const from = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  return from === undefined ? undefined : Number(from);
}

export class Mirror {
  answer: Answer = serving();
  requests: IncomingMessage[] = [];
  readonly files: Files;
  readonly #folder: string;
  readonly #server: Server;

  private constructor(folder: string) {
    this.#folder = folder;
    this.files = diskFiles(folder);
    this.#server = createServer((request, response) => {
      this.requests.push(request);
      this.answer(request, response);
    });
  }

  static async start(): Promise<Mirror> {
    const mirror = new Mirror(await mkdtemp(join(tmpdir(), 'tidegate download ')));
    await new Promise<void>((ready) => mirror.#server.listen(0, '127.0.0.1', ready));
    return mirror;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
    await rm(this.#folder, { recursive: true, force: true });
  }

  readonly fetch: DownloadFetch = async (path, { range, signal }) => {
    const { port } = this.#server.address() as AddressInfo;
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (range !== undefined) headers['range'] = `bytes=${range.from}-`;
    if (range?.ifRange !== undefined) headers['if-range'] = range.ifRange;
    const response = await fetch(`http://127.0.0.1:${port}/${path}`, { headers, signal });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: response.body as unknown as AsyncIterable<Uint8Array>,
    };
  };

  download(changes: Partial<DownloadOptions> = {}): Promise<void> {
    return downloadImage({
      paths: ['targets/a.raucb'],
      sha256,
      length: image.length,
      files: this.files,
      file: FILE,
      fetch: this.fetch,
      clock: stopped,
      minimumRate: 1000,
      ...changes,
    });
  }

  async onDisk(): Promise<Buffer> {
    return (await this.files.read(FILE, image.length * 2)) ?? Buffer.alloc(0);
  }
}
