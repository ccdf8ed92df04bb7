import { truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectRejection } from '../trust/testing/refused.ts';
import { breakingAfter, ETAG, FILE, image, serving, sha256, status, Mirror } from './testing/mirror.ts';

let mirror: Mirror;

beforeEach(async () => {
  mirror = await Mirror.start();
});
afterEach(() => mirror.close());

describe('resuming', () => {
  const firstPart = 5 * 1024 * 1024;
  /** Bytes that arrived before the connection broke: what the network held is lost. */
  let kept: number;

  beforeEach(async () => {
    mirror.answer = breakingAfter(firstPart);
    await expectRejection('DOWNLOAD_FAILED', mirror.download());
    kept = (await mirror.onDisk()).length;
    expect(kept).toBeGreaterThan(1000);
    mirror.answer = serving();
    mirror.requests = [];
  });

  it('goes on where it stopped, under the same ETag', async () => {
    await mirror.download();
    expect(mirror.requests[0]!.headers).toMatchObject({ range: `bytes=${kept}-`, 'if-range': ETAG });
    expect((await mirror.onDisk()).equals(image)).toBe(true);
  });

  it('goes on through any number of breaks', async () => {
    mirror.answer = breakingAfter(1024 * 1024);
    for (let i = 0; i < 3; i++) {
      await expectRejection('DOWNLOAD_FAILED', mirror.download());
      expect(mirror.requests.at(-1)!.headers.range).toBe(`bytes=${kept}-`);
      kept = (await mirror.onDisk()).length;
    }
    mirror.answer = serving();
    await mirror.download();
    expect((await mirror.onDisk()).equals(image)).toBe(true);
  });

  it('notices an altered byte before fetching the rest, and fetches anew', async () => {
    const partial = await mirror.onDisk();
    partial[1000]! ^= 1;
    await writeFile(mirror.files.path(FILE), partial);
    await mirror.download();
    expect(mirror.requests[0]!.headers.range).toBeUndefined();
    expect((await mirror.onDisk()).equals(image)).toBe(true);
  });

  it('keeps only what a checkpoint vouches for', async () => {
    await writeFile(
      mirror.files.path(FILE),
      Buffer.concat([await mirror.onDisk(), Buffer.from('torn tail')]),
    );
    await mirror.download();
    expect(mirror.requests[0]!.headers.range).toBe(`bytes=${kept}-`);
  });

  it.each(['lost', 'torn', 'of another image'])('fetches anew when the checkpoint is %s', async (how) => {
    const path = `${FILE}.part.json`;
    const bytes = (await mirror.files.read(path))!;
    if (how === 'lost') await mirror.files.remove(path);
    if (how === 'torn') await mirror.files.write(path, bytes.subarray(0, 40));
    if (how === 'of another image') {
      await mirror.files.write(path, Buffer.from(bytes.toString().replace(sha256, '0'.repeat(64))));
    }
    await mirror.download();
    expect(mirror.requests[0]!.headers.range).toBeUndefined();
    expect((await mirror.onDisk()).equals(image)).toBe(true);
  });

  it('fetches anew when the partial file is shorter than its checkpoint', async () => {
    await truncate(mirror.files.path(FILE), 1000);
    await mirror.download();
    expect(mirror.requests[0]!.headers.range).toBeUndefined();
  });

  it('takes the whole file when the service has another one now', async () => {
    mirror.answer = serving(image, '"two"');
    await mirror.download();
    expect((await mirror.onDisk()).equals(image)).toBe(true);
  });

  it('starts again after a range of another file, and after 416', async () => {
    mirror.answer = (request, response) => {
      delete request.headers['if-range'];
      serving(image, '"two"')(request, response);
    };
    await expectRejection('DOWNLOAD_FAILED', mirror.download());
    expect(await mirror.onDisk()).toHaveLength(0);
    mirror.answer = breakingAfter(firstPart);
    await expectRejection('DOWNLOAD_FAILED', mirror.download());
    mirror.answer = status(416);
    await expectRejection('DOWNLOAD_FAILED', mirror.download());
    expect(await mirror.onDisk()).toHaveLength(0);
  });

  it('refuses a range that was not asked for', async () => {
    mirror.answer = (_, response) => {
      const range = `bytes 0-${image.length - 1}/${image.length}`;
      response.writeHead(206, { 'content-range': range, etag: ETAG }).end(image);
    };
    await expectRejection('DOWNLOAD_FAILED', mirror.download());
    mirror.answer = serving();
    await mirror.download();
    expect((await mirror.onDisk()).equals(image)).toBe(true);
  });
});
