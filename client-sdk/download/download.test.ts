import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Refusal, type Clock } from '../protocol/index.ts';
import { diskFiles } from '../trust/disk-files.ts';
import type { Files } from '../trust/files.ts';
import { expectRejection } from '../trust/testing/refused.ts';
import { discardDownload, downloadImage, type DownloadFetch, type DownloadOptions } from './index.ts';

const image = randomBytes(9 * 1024 * 1024 + 17);
const sha256 = createHash('sha256').update(image).digest('hex');
const FILE = 'images/a.raucb';

/** A clock that never gets to the end of a window, unless a test lets it. */
const stopped: Clock = { now: () => 0, sleep: (_, signal) => aborted(signal) };
const hurried: Clock = { now: () => 0, sleep: async () => new Promise((done) => setTimeout(done, 20)) };

function aborted(signal?: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

let server: Server;
let files: Files;
let folder: string;
let requests: IncomingMessage[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate download '));
  files = diskFiles(folder);
  requests = [];
  answer = serve;
  server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  await rm(folder, { recursive: true, force: true });
});

const ETAG = '"one"';

/** A plain file server: Range, If-Range, ETag. */
function serve(request: IncomingMessage, response: ServerResponse, bytes = image, etag = ETAG): void {
  const from = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  const stale = request.headers['if-range'] !== undefined && request.headers['if-range'] !== etag;
  if (from === undefined || stale) {
    response.writeHead(200, { 'content-length': bytes.length, etag }).end(bytes);
    return;
  }
  const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
  response.writeHead(206, { 'content-range': range, etag }).end(bytes.subarray(Number(from)));
}

/** Sends `count` bytes and breaks the connection. */
function breakAfter(count: number) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const head = from === 0 ? 200 : 206;
    const range = { 'content-range': `bytes ${from}-${image.length - 1}/${image.length}` };
    response.writeHead(head, { ...(from === 0 ? {} : range), etag: ETAG });
    response.write(image.subarray(from, from + count), () => response.destroy());
  };
}

const fetchHttp: DownloadFetch = async (path, { range, signal }) => {
  const { port } = server.address() as AddressInfo;
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

function download(changes: Partial<DownloadOptions> = {}): Promise<void> {
  return downloadImage({
    paths: ['targets/a.raucb'],
    sha256,
    length: image.length,
    files,
    file: FILE,
    fetch: fetchHttp,
    clock: stopped,
    minimumRate: 1000,
    ...changes,
  });
}

async function onDisk(): Promise<Buffer> {
  return (await files.read(FILE, image.length * 2)) ?? Buffer.alloc(0);
}

describe('a download', () => {
  it('ends with exactly the signed bytes', async () => {
    let done = 0;
    await download({ progress: (bytes) => (done = bytes) });
    expect((await onDisk()).equals(image)).toBe(true);
    expect(done).toBe(image.length);
  });

  it('is not fetched again when it is there, but hashed', async () => {
    await download();
    await download();
    expect(requests).toHaveLength(1);
    await writeFile(files.path(FILE), Buffer.alloc(image.length));
    await download();
    expect(requests).toHaveLength(2);
    expect((await onDisk()).equals(image)).toBe(true);
  });

  it('can be discarded', async () => {
    await download();
    await discardDownload(files, FILE);
    expect(await files.list('images')).toEqual([]);
  });

  it.each([404, 416, 500, 503])('takes status %d for a failure that is tried again', async (status) => {
    answer = (_, response) => response.writeHead(status).end();
    await expectRejection('DOWNLOAD_FAILED', download());
    answer = serve;
    await download();
  });

  it('takes a refused connection for a failure that is tried again', async () => {
    const fetch: DownloadFetch = async () => {
      throw new TypeError('connect ECONNREFUSED');
    };
    await expectRejection('DOWNLOAD_FAILED', download({ fetch }));
    await expectRejection('DOWNLOAD_FAILED', download({ paths: [] }));
  });

  it('goes to the next path when one is bad', async () => {
    const evil = Buffer.alloc(image.length);
    answer = (request, response) => serve(request, response, request.url === '/bad' ? evil : image);
    await download({ paths: ['bad', 'good'] });
    expect((await onDisk()).equals(image)).toBe(true);
  });

  it('stops when it is told to, with the caller’s reason', async () => {
    const stop = new AbortController();
    answer = (_, response) => {
      response.writeHead(200, { etag: ETAG }).write(image.subarray(0, 1000));
      setTimeout(() => stop.abort(new Error('enough')), 20);
    };
    await expect(download({ signal: stop.signal })).rejects.toThrow('enough');
    await expect(download({ signal: stop.signal })).rejects.toThrow('enough');
  });
});

describe('bytes that are not the signed ones', () => {
  it('are refused and not kept', async () => {
    answer = (request, response) => serve(request, response, Buffer.alloc(image.length));
    await expectRejection('IMAGE_DIGEST', download());
    expect(await onDisk()).toHaveLength(0);
  });

  it('are refused at once where the length is announced', async () => {
    answer = (request, response) => serve(request, response, image.subarray(1));
    await expectRejection('IMAGE_LENGTH', download());
  });

  it('are cut off at the first byte above the length where it is not', async () => {
    let sent = 0;
    answer = (_, response) => {
      response.writeHead(200);
      const more = () => {
        sent += image.length;
        return !response.destroyed && response.write(image, () => setImmediate(more));
      };
      more();
    };
    await expectRejection('IMAGE_LENGTH', download());
    expect(await onDisk()).toHaveLength(0);
    expect(sent).toBeLessThan(20 * image.length);
  });

  it('are refused when they come encoded', async () => {
    answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    const fetch: DownloadFetch = async (path, options) => {
      const response = await fetchHttp(path, options).catch(() => undefined);
      return { ...response!, headers: { 'content-encoding': 'gzip' } };
    };
    await expectRejection('DOWNLOAD_FAILED', download({ fetch }));
  });
});

describe('resuming', () => {
  const firstPart = 5 * 1024 * 1024;
  /** Bytes that arrived before the connection broke: what the network held is lost. */
  let kept: number;

  beforeEach(async () => {
    answer = breakAfter(firstPart);
    await expectRejection('DOWNLOAD_FAILED', download());
    kept = (await onDisk()).length;
    expect(kept).toBeGreaterThan(1000);
    answer = serve;
    requests = [];
  });

  it('goes on where it stopped, under the same ETag', async () => {
    await download();
    expect(requests[0]!.headers).toMatchObject({ range: `bytes=${kept}-`, 'if-range': ETAG });
    expect((await onDisk()).equals(image)).toBe(true);
  });

  it('goes on through any number of breaks', async () => {
    answer = breakAfter(1024 * 1024);
    for (let i = 0; i < 3; i++) {
      await expectRejection('DOWNLOAD_FAILED', download());
      expect(requests.at(-1)!.headers.range).toBe(`bytes=${kept}-`);
      kept = (await onDisk()).length;
    }
    answer = serve;
    await download();
    expect((await onDisk()).equals(image)).toBe(true);
  });

  it('notices an altered byte before fetching the rest, and fetches anew', async () => {
    const partial = await onDisk();
    partial[1000]! ^= 1;
    await writeFile(files.path(FILE), partial);
    await download();
    expect(requests[0]!.headers.range).toBeUndefined();
    expect((await onDisk()).equals(image)).toBe(true);
  });

  it('keeps only what a checkpoint vouches for', async () => {
    await writeFile(files.path(FILE), Buffer.concat([await onDisk(), Buffer.from('torn tail')]));
    await download();
    expect(requests[0]!.headers.range).toBe(`bytes=${kept}-`);
  });

  it.each(['lost', 'torn', 'of another image'])('fetches anew when the checkpoint is %s', async (how) => {
    const path = `${FILE}.part.json`;
    const bytes = (await files.read(path))!;
    if (how === 'lost') await files.remove(path);
    if (how === 'torn') await files.write(path, bytes.subarray(0, 40));
    if (how === 'of another image') {
      await files.write(path, Buffer.from(bytes.toString().replace(sha256, '0'.repeat(64))));
    }
    await download();
    expect(requests[0]!.headers.range).toBeUndefined();
    expect((await onDisk()).equals(image)).toBe(true);
  });

  it('fetches anew when the partial file is shorter than its checkpoint', async () => {
    await truncate(files.path(FILE), 1000);
    await download();
    expect(requests[0]!.headers.range).toBeUndefined();
  });

  it('takes the whole file when the service has another one now', async () => {
    answer = (request, response) => serve(request, response, image, '"two"');
    await download();
    expect((await onDisk()).equals(image)).toBe(true);
  });

  it('starts again after a range of another file, and after 416', async () => {
    answer = (request, response) => {
      delete request.headers['if-range'];
      serve(request, response, image, '"two"');
    };
    await expectRejection('DOWNLOAD_FAILED', download());
    expect(await onDisk()).toHaveLength(0);
    answer = breakAfter(firstPart);
    await expectRejection('DOWNLOAD_FAILED', download());
    answer = (_, response) => response.writeHead(416).end();
    await expectRejection('DOWNLOAD_FAILED', download());
    expect(await onDisk()).toHaveLength(0);
  });

  it('refuses a range that was not asked for', async () => {
    answer = (_, response) => {
      const range = `bytes 0-${image.length - 1}/${image.length}`;
      response.writeHead(206, { 'content-range': range, etag: ETAG }).end(image);
    };
    await expectRejection('DOWNLOAD_FAILED', download());
    answer = serve;
    await download();
    expect((await onDisk()).equals(image)).toBe(true);
  });
});

describe('the minimum rate', () => {
  it('ends a body that trickles or hangs, and keeps what came', async () => {
    answer = (_, response) => {
      response.writeHead(200, { etag: ETAG }).write(image.subarray(0, 5000));
    };
    await expectRejection('DOWNLOAD_TOO_SLOW', download({ clock: hurried, minimumRate: 1_000_000 }));
    expect(await onDisk()).toHaveLength(5000);
  });

  it('ends a fetch that never answers, even one that does not heed its signal', async () => {
    const fetch: DownloadFetch = () => new Promise(() => {});
    await expectRejection('DOWNLOAD_TOO_SLOW', download({ clock: hurried, fetch }));
  });

  it('lets a slow but steady body end', async () => {
    // A window of this clock ends with each chunk that comes.
    let endWindow = () => {};
    const steady: Clock = {
      now: () => 0,
      sleep: (_, signal) => Promise.race([aborted(signal), new Promise<void>((end) => (endWindow = end))]),
    };
    const progress = () => endWindow();
    await download({ clock: steady, rateWindow: 1000, minimumRate: 1, progress });
    expect((await onDisk()).equals(image)).toBe(true);
  });

  it('says so with the SDK’s own error', async () => {
    const fetch: DownloadFetch = () => new Promise(() => {});
    await expect(download({ clock: hurried, fetch })).rejects.toBeInstanceOf(Refusal);
  });
});
