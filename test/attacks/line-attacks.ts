/** What comes over the line: too much, too slowly, altered, from elsewhere. */
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { systemClock } from '@tidegate/client-sdk/agent';
import type { RefusalCode } from '@tidegate/client-sdk/protocol';
import { PRODUCT } from '../../client-sdk/trust/testing/repository.ts';
import type { Attack } from './attack.ts';
import type { Intruder } from './line.ts';
import type { Scene } from './scene.ts';

/** The charger's network lives so much faster than ours. */
const HASTE = 20;

export function hasten(scene: Scene): void {
  scene.wall = {
    now: () => systemClock.now(),
    sleep: (ms, signal) => systemClock.sleep(ms / HASTE, signal),
  };
}

/** Sends `chunk` again and again for as long as somebody listens. */
export function forEver(response: ServerResponse, chunk: Buffer, pause = 0): void {
  const more = (): void => {
    if (response.destroyed) return;
    const next = (): void => void (pause > 0 ? setTimeout(more, pause) : setImmediate(more));
    if (response.write(chunk)) next();
    else response.once('drain', next);
  };
  more();
}

const at =
  (ends: string, act: (response: ServerResponse) => void): Intruder =>
  (request, response) => {
    if (request.url?.endsWith(ends) !== true) return false;
    act(response);
    return true;
  };

interface OnLine {
  name: string;
  code: RefusalCode;
  where: string;
  act: (response: ServerResponse, scene: Scene) => void;
  slow?: boolean;
  /** Check-ins after the play, where it is slow: an answer to a check-in is awaited in the machine's own time, half a minute each. */
  patience?: number;
}

const MB = Buffer.alloc(1024 * 1024, ' ');
const ROLE = `.${PRODUCT}.json`;

const ON_LINE: OnLine[] = [
  {
    name: 'endless data: metadata',
    code: 'METADATA_TOO_LARGE',
    where: ROLE,
    act: (response) => forEver(response.writeHead(200), MB),
  },
  {
    name: 'endless data: an answer to a check-in',
    code: 'SERVICE_UNREACHABLE',
    where: 'check-in',
    act: (response) => forEver(response.writeHead(200), MB),
  },
  {
    name: 'endless data: an image',
    code: 'IMAGE_LENGTH',
    where: '.raucb',
    act: (response) => forEver(response.writeHead(200), MB),
  },
  {
    name: 'endless data: a bundle',
    code: 'BUNDLE_MISSING',
    where: '.sigstore.json',
    act: (response) => forEver(response.writeHead(200), MB),
  },
  {
    name: 'endless data: headers',
    code: 'SERVICE_UNREACHABLE',
    where: ROLE,
    act: (response) => {
      for (let i = 0; i < 400; i++) response.setHeader(`x-${i}`, 'y'.repeat(100));
      response.writeHead(200).end();
    },
  },
  {
    name: 'endless data: heads that announce a head',
    code: 'SERVICE_UNREACHABLE',
    where: ROLE,
    slow: true,
    act: (response) => {
      const more = setInterval(() => {
        if (response.destroyed || response.socket?.destroyed !== false) clearInterval(more);
        else response.writeProcessing();
      }, 50);
      response.on('close', () => clearInterval(more));
    },
  },
  {
    name: 'gzip bomb: metadata',
    code: 'METADATA_MALFORMED',
    where: ROLE,
    act: (response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(32 * 1024 * 1024))),
  },
  {
    name: 'gzip bomb: an image',
    code: 'DOWNLOAD_FAILED',
    where: '.raucb',
    act: (response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(32 * 1024 * 1024))),
  },
  {
    name: 'slow retrieval: metadata',
    code: 'DOWNLOAD_TOO_SLOW',
    where: ROLE,
    slow: true,
    act: (response) => forEver(response.writeHead(200), Buffer.from(' '), 100),
  },
  {
    name: 'slow retrieval: an answer to a check-in',
    code: 'DOWNLOAD_TOO_SLOW',
    where: 'check-in',
    slow: true,
    patience: 1,
    act: (response) => forEver(response.writeHead(200), Buffer.from(' '), 100),
  },
  {
    name: 'slow retrieval: an image',
    code: 'DOWNLOAD_TOO_SLOW',
    where: '.raucb',
    slow: true,
    act: (response) => forEver(response.writeHead(200), Buffer.from(' '), 100),
  },
  {
    name: 'slow retrieval: a service that takes the request and says nothing',
    code: 'SERVICE_UNREACHABLE',
    where: ROLE,
    slow: true,
    act: () => undefined,
  },
  {
    name: 'a redirect to elsewhere: metadata',
    code: 'SERVICE_UNREACHABLE',
    where: ROLE,
    act: (response) => response.writeHead(302, { location: 'https://127.0.0.1:9/evil.json' }).end(),
  },
  {
    name: 'a redirect to elsewhere: an image',
    code: 'DOWNLOAD_FAILED',
    where: '.raucb',
    act: (response) => response.writeHead(302, { location: 'http://127.0.0.1:9/evil.raucb' }).end(),
  },
  {
    name: 'a redirect to elsewhere: a check-in',
    code: 'SERVICE_REFUSED',
    where: 'check-in',
    act: (response) => response.writeHead(307, { location: 'https://127.0.0.1:9/check-in' }).end(),
  },
  {
    name: 'a redirect in a circle',
    code: 'DOWNLOAD_FAILED',
    where: '.raucb',
    act: (response) => response.writeHead(301, { location: response.req.url ?? '/' }).end(),
  },
  {
    name: 'an image that is shorter than it says',
    code: 'DOWNLOAD_FAILED',
    where: '.raucb',
    act: (response) => response.writeHead(200).end(randomBytes(100)),
  },
  {
    name: 'an image of another length',
    code: 'IMAGE_LENGTH',
    where: '.raucb',
    act: (response) => response.writeHead(200, { 'content-length': 7 }).end('another'),
  },
  {
    name: 'arbitrary software: other bytes of the right length',
    code: 'IMAGE_DIGEST',
    where: '.raucb',
    act: (response, scene) =>
      response.writeHead(200).end(randomBytes(scene.service.wanted?.target.length ?? 0)),
  },
];

/** The download breaks in the middle; what is there by then waits on the disk. */
async function halfThere(scene: Scene): Promise<void> {
  const image = randomBytes(200_000);
  scene.want(await scene.publish({}, { image }));
  scene.line.intruder = at('.raucb', (response) => {
    response.writeHead(200, { etag: `"${image.length}"` }).write(image.subarray(0, 120_000), () => {
      setTimeout(() => response.destroy(), 50);
    });
  });
  await scene.pass();
  scene.restart();
  scene.line.intruder = undefined;
  scene.codes = [];
}

export const LINE: Attack[] = [
  ...ON_LINE.map(({ name, code, where, act, slow = false, patience = 2 }): Attack => ({
    name,
    compromised: 'the line',
    expected: { charger: 'stays', code },
    async play(scene, attacked) {
      await scene.pass();
      scene.want(await scene.publish());
      if (!attacked) return;
      if (slow) Object.assign(scene, { timeout: 1500, patience });
      if (slow) hasten(scene);
      scene.restart();
      scene.line.intruder = at(where, (response) => act(response, scene));
    },
  })),
  {
    name: 'a link that is slow and steady finishes',
    compromised: 'nobody',
    expected: { charger: 'installs', because: 'it is faster than the minimum rate' },
    async play(scene, attacked) {
      const image = randomBytes(150_000);
      scene.want(await scene.publish({}, { image }));
      if (!attacked) return;
      hasten(scene);
      scene.line.intruder = at('.raucb', (response) => {
        response.writeHead(200, { 'content-length': image.length });
        let sent = 0;
        const more = setInterval(() => {
          response.write(image.subarray(sent, sent + 3000));
          sent += 3000;
          if (sent < image.length) return;
          clearInterval(more);
          response.end();
        }, 40);
        response.on('close', () => clearInterval(more));
      });
    },
  },
  {
    name: 'a resumed download, altered in the middle',
    compromised: 'the disk',
    expected: {
      charger: 'installs',
      because: 'the part is hashed before the rest is fetched, and begun anew',
    },
    async play(scene, attacked) {
      await halfThere(scene);
      const file = join(scene.folder, 'slot-b');
      const bytes = await readFile(file);
      if (attacked) bytes[1000] = (bytes[1000] ?? 0) ^ 1;
      await writeFile(file, bytes);
    },
  },
  {
    name: 'a resumed download, altered with its checkpoint',
    compromised: 'the disk',
    expected: { charger: 'installs', because: 'the whole has another digest, and is fetched once more' },
    async play(scene, attacked) {
      await halfThere(scene);
      if (!attacked) return;
      const { createHash } = await import('node:crypto');
      const kept = JSON.parse((await scene.files.read('slot-b.part.json'))?.toString() ?? '{}') as {
        size: number;
        prefix: string;
      };
      const forged = randomBytes(kept.size);
      kept.prefix = createHash('sha256').update(forged).digest('hex');
      await writeFile(join(scene.folder, 'slot-b'), forged);
      await scene.files.write('slot-b.part.json', Buffer.from(JSON.stringify(kept)));
    },
  },
  {
    name: 'a resumed download that goes on with other bytes',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'IMAGE_DIGEST' },
    async play(scene, attacked) {
      await halfThere(scene);
      const length = scene.service.wanted?.target.length ?? 0;
      if (!attacked) return;
      scene.line.intruder = (request, response) => {
        if (request.url?.endsWith('.raucb') !== true) return false;
        const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
        const range = `bytes ${from}-${length - 1}/${length}`;
        if (from > 0) response.writeHead(206, { 'content-range': range });
        response.end(randomBytes(length - from));
        return true;
      };
    },
  },
  {
    name: 'another range than the one that was asked for',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'DOWNLOAD_FAILED' },
    async play(scene, attacked) {
      await halfThere(scene);
      const length = scene.service.wanted?.target.length ?? 0;
      if (!attacked) return;
      scene.line.intruder = at('.raucb', (response) =>
        response
          .writeHead(206, { 'content-range': `bytes 0-${length - 1}/${length}` })
          .end(randomBytes(length)),
      );
    },
  },
];
