/** Where a CI job's identity token comes from, and what is no token. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AttestError, ciToken, parseToken } from '@tidegate/signer/attest';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeProgram } from '../support/programs.ts';
import { jwt } from '../support/sigstore.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const CLAIMS = {
  iss: 'https://token.ci.example',
  aud: 'sigstore',
  sub: 'repo:acme/firmware',
  exp: NOW / 1000 + 60,
};
const TOKEN = jwt(CLAIMS);

describe('a token', () => {
  it('says who signs and who vouches', () => {
    expect(parseToken(` ${TOKEN}\n`, NOW)).toEqual({
      token: TOKEN,
      issuer: 'https://token.ci.example',
      subject: 'repo:acme/firmware',
    });
    expect(parseToken(jwt({ ...CLAIMS, aud: ['other', 'sigstore'] }), NOW).subject).toBe(
      'repo:acme/firmware',
    );
    const person = { ...CLAIMS, email: 'ann@acme.example', email_verified: true };
    expect(parseToken(jwt(person), NOW).subject).toBe('ann@acme.example');
  });

  it.each([
    ['nothing', ''],
    ['no JWT', 'hello'],
    ['no JSON', 'aaaa.aaaa.aaaa'],
    ['a list', jwt([])],
    ['something far too long', `${'a'.repeat(20_000)}.a.a`],
    ['a token for somebody else', jwt({ ...CLAIMS, aud: 'aws' })],
    ['a token for nobody', jwt({ ...CLAIMS, aud: undefined })],
    ['an expired token', jwt({ ...CLAIMS, exp: NOW / 1000 })],
    ['a token by nobody', jwt({ ...CLAIMS, iss: undefined })],
    ['a token about nobody', jwt({ ...CLAIMS, sub: 7 })],
    ['a token with an address that nobody verified', jwt({ ...CLAIMS, email: 'a@b.example' })],
  ])('is not %s, and no error quotes it', (_, written) => {
    let error: unknown;
    try {
      parseToken(written, NOW);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(AttestError);
    expect(error).toMatchObject({ code: 'IDENTITY_TOKEN' });
    expect((error as Error).cause).toBeUndefined();
    if (written.length > 10) expect(String(error)).not.toContain(written.slice(0, 30));
  });
});

describe('in CI', () => {
  let folder: string;
  let server: Server;
  let url: string;
  let answer: { status: number; body: string };
  let asked: string[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidegate token '));
    asked = [];
    answer = { status: 200, body: JSON.stringify({ value: TOKEN }) };
    server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      response.writeHead(answer.status).end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token?api-version=2.0`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  it('GitLab puts it into the environment', async () => {
    expect((await ciToken({ SIGSTORE_ID_TOKEN: TOKEN }, NOW)).token).toBe(TOKEN);
  });

  it('GitHub Actions is asked for one for Sigstore', async () => {
    const env = { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'runner-secret' };
    expect((await ciToken(env, NOW)).token).toBe(TOKEN);
    expect(asked).toEqual(['GET /token?api-version=2.0&audience=sigstore Bearer runner-secret']);
    for (const refusal of [
      { status: 403, body: 'runner-secret may not' },
      { status: 200, body: '{}' },
    ]) {
      answer = refusal;
      const error: unknown = await ciToken(env, NOW).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'IDENTITY_REFUSED' });
      expect(String((error as Error).cause)).not.toContain('runner-secret');
    }
    const elsewhere = { ...env, ACTIONS_ID_TOKEN_REQUEST_URL: 'http://evil.example' };
    await expect(ciToken(elsewhere, NOW)).rejects.toMatchObject({ code: 'SERVICE_INSECURE' });
  });

  it("Buildkite's agent makes one", async () => {
    const agent = (body: string) => writeProgram(folder, 'buildkite-agent', body);
    const env = { BUILDKITE: 'true', PATH: `${folder}:${process.env['PATH']}` };
    await agent(
      `if (args.join(' ') !== 'oidc request-token --audience sigstore') process.exit(2); console.log('${TOKEN}')`,
    );
    expect((await ciToken(env, NOW)).token).toBe(TOKEN);
    await agent("console.error('no such job'); process.exit(1)");
    await expect(ciToken(env, NOW)).rejects.toMatchObject({ code: 'IDENTITY_REFUSED' });
    await agent("console.log('hello')");
    await expect(ciToken(env, NOW)).rejects.toMatchObject({ code: 'IDENTITY_TOKEN' });
    await expect(ciToken({ ...env, PATH: '/none' }, NOW)).rejects.toMatchObject({ code: 'IDENTITY_REFUSED' });
  });

  it('elsewhere nobody vouches', async () => {
    await expect(ciToken({}, NOW)).rejects.toMatchObject({ code: 'IDENTITY_MISSING' });
  });
});
