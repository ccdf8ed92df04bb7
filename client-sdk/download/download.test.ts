import { writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Refusal, type Clock } from '../protocol/index.ts';
import { expectRejection } from '../trust/testing/refused.ts';
import { discardDownload, type DownloadFetch } from './index.ts';
import { aborted, ETAG, FILE, hurried, image, serving, status, Mirror } from './testing/mirror.ts';

let mirror: Mirror;

beforeEach(async () => {
  mirror = await Mirror.start();
});
afterEach(() => mirror.close());

describe('a download', () => {
  it('ends with exactly the signed bytes', async () => {
    let done = 0;
    await mirror.download({ progress: (bytes) => (done = bytes) });
    expect((await mirror.onDisk()).equals(image)).toBe(true);
    expect(done).toBe(image.length);
  });

  it('is not fetched again when it is there, but hashed', async () => {
    await mirror.download();
    await mirror.download();
    expect(mirror.requests).toHaveLength(1);
    await writeFile(mirror.files.path(FILE), Buffer.alloc(image.length));
    await mirror.download();
    expect(mirror.requests).toHaveLength(2);
    expect((await mirror.onDisk()).equals(image)).toBe(true);
  });

  it('can be discarded', async () => {
    await mirror.download();
    await discardDownload(mirror.files, FILE);
    expect(await mirror.files.list('images')).toEqual([]);
  });

  it.each([404, 416, 500, 503])('takes status %d for a failure that is tried again', async (code) => {
    mirror.answer = status(code);
    await expectRejection('DOWNLOAD_FAILED', mirror.download());
    mirror.answer = serving();
    await mirror.download();
  });

  it('takes a refused connection for a failure that is tried again', async () => {
    const fetch: DownloadFetch = async () => {
      throw new TypeError('connect ECONNREFUSED');
    };
    await expectRejection('DOWNLOAD_FAILED', mirror.download({ fetch }));
    await expectRejection('DOWNLOAD_FAILED', mirror.download({ paths: [] }));
  });

  it('goes to the next path when one is bad', async () => {
    const evil = Buffer.alloc(image.length);
    mirror.answer = (request, response) => serving(request.url === '/bad' ? evil : image)(request, response);
    await mirror.download({ paths: ['bad', 'good'] });
    expect((await mirror.onDisk()).equals(image)).toBe(true);
  });

  it('stops when it is told to, with the caller’s reason', async () => {
    const stop = new AbortController();
    mirror.answer = (_, response) => {
      response.writeHead(200, { etag: ETAG }).write(image.subarray(0, 1000));
      setTimeout(() => stop.abort(new Error('enough')), 20);
    };
    await expect(mirror.download({ signal: stop.signal })).rejects.toThrow('enough');
    await expect(mirror.download({ signal: stop.signal })).rejects.toThrow('enough');
  });
});

describe('bytes that are not the signed ones', () => {
  it('are refused and not kept', async () => {
    mirror.answer = serving(Buffer.alloc(image.length));
    await expectRejection('IMAGE_DIGEST', mirror.download());
    expect(await mirror.onDisk()).toHaveLength(0);
  });

  it('are refused at once where the length is announced', async () => {
    mirror.answer = serving(image.subarray(1));
    await expectRejection('IMAGE_LENGTH', mirror.download());
  });

  it('are cut off at the first byte above the length where it is not', async () => {
    let sent = 0;
    mirror.answer = (_, response) => {
      response.writeHead(200);
      const more = () => {
        sent += image.length;
        return !response.destroyed && response.write(image, () => setImmediate(more));
      };
      more();
    };
    await expectRejection('IMAGE_LENGTH', mirror.download());
    expect(await mirror.onDisk()).toHaveLength(0);
    expect(sent).toBeLessThan(20 * image.length);
  });

  it('are refused when they come encoded', async () => {
    mirror.answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    const fetch: DownloadFetch = async (path, options) => {
      const response = await mirror.fetch(path, options).catch(() => undefined);
      return { ...response!, headers: { 'content-encoding': 'gzip' } };
    };
    await expectRejection('DOWNLOAD_FAILED', mirror.download({ fetch }));
  });
});

describe('the minimum rate', () => {
  it('ends a body that trickles or hangs, and keeps what came', async () => {
    mirror.answer = (_, response) => {
      response.writeHead(200, { etag: ETAG }).write(image.subarray(0, 5000));
    };
    // The first window ends when those bytes have come, however busy the machine; the next ones at once.
    let came = () => {};
    const those = new Promise<void>((end) => (came = end));
    const clock: Clock = { now: () => 0, sleep: (_, signal) => Promise.race([aborted(signal), those]) };
    const progress = (done: number) => {
      if (done === 5000) came();
    };
    await expectRejection('DOWNLOAD_TOO_SLOW', mirror.download({ clock, minimumRate: 1_000_000, progress }));
    expect(await mirror.onDisk()).toHaveLength(5000);
  });

  it('ends a fetch that never answers, even one that does not heed its signal', async () => {
    const fetch: DownloadFetch = () => new Promise(() => {});
    await expectRejection('DOWNLOAD_TOO_SLOW', mirror.download({ clock: hurried, fetch }));
  });

  it('lets a slow but steady body end', async () => {
    // A window of this clock ends with each chunk that comes.
    let endWindow = () => {};
    const steady: Clock = {
      now: () => 0,
      sleep: (_, signal) => Promise.race([aborted(signal), new Promise<void>((end) => (endWindow = end))]),
    };
    const progress = () => endWindow();
    await mirror.download({ clock: steady, rateWindow: 1000, minimumRate: 1, progress });
    expect((await mirror.onDisk()).equals(image)).toBe(true);
  });

  it('says so with the SDK’s own error', async () => {
    const fetch: DownloadFetch = () => new Promise(() => {});
    await expect(mirror.download({ clock: hurried, fetch })).rejects.toBeInstanceOf(Refusal);
  });
});
