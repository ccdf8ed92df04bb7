import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../protocol/index.ts';
import { diskFiles } from '../trust/index.ts';
import { Agent } from './agent.ts';
import { enrol, readIdentity } from './enrol.ts';
import { httpsTransport } from './https.ts';
import type { HttpsTransport } from './https.ts';
import { identityOf, someImage, TestCharger } from './testing/charger.ts';
import { TestService, testClock } from './testing/service.ts';
import { listenTls } from './testing/tls.ts';
import type { TlsBench } from './testing/tls.ts';

const TOKEN = 'one-time';
let service: TestService;
let tls: TlsBench;
let folder: string;
let transport: HttpsTransport | undefined;

beforeEach(async () => {
  service = new TestService(testClock());
  tls = await listenTls(service, TOKEN);
  folder = await mkdtemp(join(tmpdir(), 'tg-agent-'));
});
afterEach(async () => {
  transport?.close();
  await tls.close();
  await rm(folder, { recursive: true });
});

async function enrolled(): Promise<HttpsTransport> {
  const anonymous = httpsTransport({ service: tls.origin, ca: tls.ca });
  const client = await enrol({
    provisioning: identityOf(service),
    folder,
    token: TOKEN,
    transport: anonymous,
  });
  anonymous.close();
  transport = httpsTransport({ service: tls.origin, ca: tls.ca, client });
  return transport;
}
const question = { nonce: 'A'.repeat(22), assignment: 'a', sha256: 'a'.repeat(64) };

describe('enrolment', () => {
  it('keeps a key that nobody else reads, and a certificate for it', async () => {
    await enrolled();
    expect((await stat(join(folder, 'identity/key.pem'))).mode & 0o777).toBe(0o600);
    expect((await readIdentity(folder))?.certificate).toContain('BEGIN CERTIFICATE');
  });

  it('passes the service’s refusal on, and uses the same key when it is tried again', async () => {
    const anonymous = httpsTransport({ service: tls.origin, ca: tls.ca });
    const wrong = enrol({ provisioning: identityOf(service), folder, token: 'wrong', transport: anonymous });
    await expect(wrong).rejects.toMatchObject({
      code: 'SERVICE_REFUSED',
      problemCode: 'TOKEN_UNKNOWN',
      status: 403,
    });
    anonymous.close();
    expect(await readIdentity(folder)).toBeUndefined();
    const key = await readFile(join(folder, 'identity/key.pem'), 'utf8');
    await enrolled();
    expect(await readFile(join(folder, 'identity/key.pem'), 'utf8')).toBe(key);
  });
});

describe('the HTTPS transport', () => {
  it('carries an update to its end over one kept connection', async () => {
    const files = diskFiles(folder);
    const charger = await TestCharger.provision(files, service);
    const target = service.publish(someImage(), { version: '1.2.0' });
    service.wanted = { assignment: 'a', target };
    const agent = new Agent({ ...charger.deps(), transport: await enrolled() });
    const before = tls.connections;
    for (let i = 0; i < 3; i++) await agent.checkInOnce();
    expect((await agent.checkInOnce()).job).toMatchObject({ progress: 'HEALTHY' });
    expect(await charger.runs()).toBe('1.2.0');
    expect(tls.connections - before).toBeLessThanOrEqual(2);
  });

  it('idles with one request', async () => {
    const files = diskFiles(folder);
    const charger = await TestCharger.provision(files, service);
    const agent = new Agent({ ...charger.deps(), transport: await enrolled() });
    await agent.checkInOnce();
    tls.requests.length = 0;
    await agent.checkInOnce();
    expect(tls.requests).toEqual(['POST /device/v1/check-in']);
  });

  it('trusts no other CA', async () => {
    const other = await listenTls(service, TOKEN);
    try {
      transport = httpsTransport({ service: other.origin, ca: tls.ca });
      await expect(transport.confirm(question)).rejects.toMatchObject({ code: 'SERVICE_UNREACHABLE' });
    } finally {
      await other.close();
    }
  });

  it("judges the CA's end by trusted time as well, where the machine's clock has been set back", async () => {
    const day = 86_400_000;
    const other = await listenTls(service, TOKEN, Date.now() + 30 * day);
    const at = (builtAt: number) => httpsTransport({ service: other.origin, ca: other.ca, builtAt });
    try {
      transport = at(Date.now());
      await expect(transport.confirm(question)).rejects.toMatchObject({ code: 'SERVICE_REFUSED' });
      transport = at(Date.now() + 2 * day);
      await expect(transport.confirm(question)).rejects.toMatchObject({ code: 'SERVICE_UNREACHABLE' });
    } finally {
      await other.close();
    }
  });

  it('says what the service refused, and for how long', async () => {
    const client = await enrolled();
    tls.intercept = (_request, response) => {
      const problem = JSON.stringify({ code: 'BUSY', detail: 'Later.' });
      response
        .writeHead(503, { 'retry-after': '17', 'content-type': 'application/problem+json' })
        .end(problem);
      return true;
    };
    const asked = client.confirm(question);
    await expect(asked).rejects.toMatchObject({
      code: 'SERVICE_REFUSED',
      problemCode: 'BUSY',
      retryAfter: 17,
    });
  });

  const bad: Record<string, string> = {
    'that is too long': 'x'.repeat(LIMITS.answerBody + 1),
    'that is not JSON': '<html>',
    'without its fields': '{"directive":null}',
  };
  it.each(Object.entries(bad))('takes no answer %s', async (_name, body) => {
    const client = await enrolled();
    tls.intercept = (_request, response) => {
      response.writeHead(200).end(body);
      return true;
    };
    await expect(client.confirm(question)).rejects.toMatchObject({ code: 'SERVICE_UNREACHABLE' });
  });

  it('comes back, again and again, after its connection was closed', async () => {
    const client = await enrolled();
    tls.intercept = (_request, response) => {
      response.setHeader('connection', 'close');
      return false;
    };
    const before = tls.connections;
    for (let i = 0; i < 4; i++) {
      const { status, body } = await client.get('/tuf/metadata/timestamp.json');
      for await (const _ of body);
      expect(status).toBe(200);
    }
    expect(tls.connections - before).toBe(4);
  });

  it('hears the right time again after a stolen director signed one beyond every certificate', async () => {
    const files = diskFiles(folder);
    const charger = await TestCharger.provision(files, service);
    const agent = new Agent({ ...charger.deps(), transport: await enrolled() });
    tls.intercept = (_request, response) => {
      response.setHeader('connection', 'close');
      return false;
    };
    service.tamper.directive = (directive) => {
      directive.issuedAt = '2106-02-07T06:28:15Z';
      directive.expires = '2106-02-07T07:00:00Z';
    };
    for (let i = 0; i < 3; i++) await agent.checkInOnce();
    service.tamper = {};
    const { action, refusals } = await agent.checkInOnce();
    expect([action, refusals]).toEqual(['none', []]);
  });

  it('takes no other protocol for an answer, and does not wait for more', async () => {
    const client = await enrolled();
    tls.intercept = (_request, { socket }) => {
      socket?.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
      return true;
    };
    await expect(client.confirm(question)).rejects.toMatchObject({ code: 'SERVICE_UNREACHABLE' });
    await expect(client.get('/tuf/x')).rejects.toMatchObject({ code: 'SERVICE_UNREACHABLE' });
  });

  it('gives up on a service that says nothing', async () => {
    const anonymous = httpsTransport({ service: tls.origin, ca: tls.ca, timeout: 100 });
    tls.intercept = () => true;
    await expect(anonymous.confirm(question)).rejects.toMatchObject({ code: 'SERVICE_UNREACHABLE' });
    anonymous.close();
  });
});
