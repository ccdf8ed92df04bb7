/** Mirrors, which are trusted with nothing: whatever the first one does, the image comes from the next. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Attack } from './attack.ts';
import { serve } from './line.ts';
import { forEver, hasten } from './line-attacks.ts';
import type { Scene } from './scene.ts';

type Answer = (request: IncomingMessage, response: ServerResponse, image: Buffer) => void;

/** An HTTP server that holds what the service holds, and answers for images as it is told. */
async function mirror(scene: Scene, answer: Answer): Promise<string> {
  const server = createServer((request, response) => {
    const bytes = scene.service.file((request.url ?? '').replace('/tuf/', ''));
    if (bytes === undefined) response.writeHead(404).end();
    else answer(request, response, bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scene.later(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const right: Answer = (request, response, image) => serve(image, request, response);

const WAYS: { name: string; answer: Answer; slow?: boolean }[] = [
  { name: 'with other bytes', answer: (_, response, image) => response.end(randomBytes(image.length)) },
  { name: 'that answers 503', answer: (_, response) => response.writeHead(503).end() },
  { name: 'that has nothing', answer: (_, response) => response.writeHead(404).end() },
  {
    name: 'that sends elsewhere',
    answer: (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(),
  },
  { name: 'that hangs up', answer: (request) => request.socket.destroy() },
  { name: 'that never ends', answer: (_, response) => forEver(response, Buffer.alloc(65_536)) },
  {
    name: 'that sends a byte now and then',
    slow: true,
    answer: (_, response) => forEver(response.writeHead(200), Buffer.from('x'), 100),
  },
  {
    name: 'that begins with other bytes and hangs up, so that the next goes on from them',
    answer: (request, response, image) => {
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
      if (from > 0) return void response.writeHead(503).end();
      response.writeHead(200, { 'content-length': image.length, etag: `"${image.length}"` });
      response.write(randomBytes(image.length / 2), () => setTimeout(() => response.destroy(), 50));
    },
  },
];

export const MIRRORS: Attack[] = [
  ...WAYS.map(({ name, answer, slow = false }): Attack => ({
    name: `a mirror ${name}`,
    compromised: 'the first of two mirrors',
    expected: { charger: 'installs', because: 'failover' },
    async play(scene, attacked) {
      const bad = await mirror(scene, attacked ? answer : right);
      const good = await mirror(scene, right);
      scene.mirrors = [bad, good];
      if (slow && attacked) hasten(scene);
      scene.want(await scene.publish({}, { image: randomBytes(100_000) }));
      scene.restart();
      // The service has no image to give: it must come from the second mirror.
      scene.line.intruder = (request, response) => {
        if (request.url?.endsWith('.raucb') !== true) return false;
        response.writeHead(404).end();
        return true;
      };
    },
  })),
  {
    name: 'all mirrors bad: the service has the image as well',
    compromised: 'every mirror',
    expected: { charger: 'installs', because: 'failover' },
    async play(scene, attacked) {
      const evil: Answer = (_, response, image) => response.end(randomBytes(image.length));
      scene.mirrors = [await mirror(scene, attacked ? evil : right), 'http://127.0.0.1:9'];
      scene.want(await scene.publish());
    },
  },
  {
    name: 'all mirrors and the service bad',
    compromised: 'every mirror, the line',
    expected: { charger: 'stays', code: 'IMAGE_DIGEST' },
    async play(scene, attacked) {
      const evil: Answer = (_, response, image) => response.end(randomBytes(image.length));
      scene.mirrors = [await mirror(scene, attacked ? evil : right)];
      const target = await scene.publish();
      if (attacked) scene.service.put(target.path, target.sha256, randomBytes(target.length));
      scene.want(target);
    },
  },
];
