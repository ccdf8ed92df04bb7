/** The commands as people type them, over HTTPS, against the real API, database and repository. */
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testDatabase } from '../../../test/support/postgres.ts';
import { bootstrapRepository } from '../../publishing/index.ts';
import { PRODUCT } from '../../publishing/desk.fixture.ts';
import { TestService } from '../service.fixture.ts';
import { operatorCommands } from './index.ts';
import { type Ran, Typing } from './typing.fixture.ts';

let typing: Typing;
const signer = (...args: string[]): Promise<Ran> => typing.signer(...args);
const run = (who: string | undefined, ...args: string[]): Promise<Ran> => typing.run(who, ...args);
const say = (who: string | undefined, ...args: string[]): Promise<Ran> => typing.say(who, ...args);

beforeAll(async () => {
  typing = await Typing.open((await testDatabase()).db);
});
afterAll(async () => {
  await typing.close();
  expect(typing.service.faults).toEqual([]);
});

test('a service takes its first metadata once', async () => {
  const initial = join(typing.home, '.tidegate', 'service', 'initial');
  expect(await bootstrapRepository(typing.service.deps.publishing, initial)).toBe(false);
});

describe('the way of a release', () => {
  test('is signed, cosigned, published, and let out by two people', async () => {
    await writeFile(join(typing.home, 'fw.img'), 'firmware one');
    const what = [
      '--product',
      PRODUCT,
      '--version',
      '1.0.0',
      '--hardware',
      'dc150-r2',
      '--security-version',
      '1',
    ];
    const key = (who: string) => ['--key', `.tidegate/keys/${who}/${PRODUCT}.key.json`];
    await signer('sign', 'fw.img', ...what);
    const bundle = ['--bundle', 'fw.img.sigstore.json'];
    const proposed = await signer('release', 'propose', 'fw.img', ...bundle, ...what, ...key('erin'));
    expect(proposed.err).toEqual([]);

    const early = await run('erin', 'publish', `${PRODUCT}@1.0.0`);
    expect([early.exit, early.json.error?.code]).toEqual([1, 'SIGNATURES_MISSING']);
    expect((await run('erin', 'release', 'list')).json).toMatchObject({
      releases: [],
      proposals: [{ version: '1.0.0', complete: false }],
    });

    await signer('release', 'cosign', `${PRODUCT}@1.0.0`, ...key('frank'));
    const denied = await run('alice', 'publish');
    expect([denied.exit, denied.json.error?.code]).toEqual([1, 'PERMISSION_DENIED']);
    const published = await say('erin', 'publish');
    expect(published).toMatchObject({
      exit: 0,
      out: [`Published ${PRODUCT} 1.0.0.`, expect.any(String), expect.any(String)],
    });
    expect((await run('erin', 'publish', `${PRODUCT}@1.0.0`)).json).toMatchObject({
      changed: false,
      steps: 0,
    });
    expect((await say('vera', 'release', 'show', `${PRODUCT}@1.0.0`)).out[0]).toContain('published');

    await typing.service.addFleet(8);
    const plan = ['--canary', '2', '--waves', '2,25%', '--hold-back', '2', '--soak-hours', '20'];
    const release = ['--product', PRODUCT, '--version', '1.0.0'];
    const made = await run('alice', 'rollout', 'create', ...release, ...plan, '--reason', 'first');
    expect(made.json).toMatchObject({
      status: 'AWAITING_APPROVAL',
      author: 'alice',
      steps: [{ size: 2, soak: { hours: 20 } }, { size: 2 }, { size: 2, soak: { hours: 20 } }, { size: 2 }],
    });
    const id = made.json['id'] as string;
    const own = await run('alice', 'rollout', 'approve', id, '--reason', 'mine');
    expect([own.exit, own.json.error?.code]).toEqual([1, 'AUTHOR_CANNOT_APPROVE']);
    expect((await run('bob', 'rollout', 'approve', id, '--reason', 'good')).json['status']).toBe('SCHEDULED');
    expect((await say('vera', 'rollout', 'why', id)).out).toEqual([
      'It is SCHEDULED.',
      expect.stringMatching(/^It starts at 20/),
      'The detector has nothing to compare yet.',
    ]);

    const watching = say('vera', 'rollout', 'watch', id);
    const following = run('vera', 'rollout', 'watch', id);
    const drawing = typing.watch('vera', 'rollout', 'watch', id);
    await run('bob', 'rollout', 'cancel', id, '--reason', 'a test');
    const watched = await watching;
    expect(watched.exit).toBe(1);
    expect(watched.out.some((line) => line.includes('CANCELLED'))).toBe(true);
    expect((await drawing).drawn).toContain('░');
    const { exit, out, json } = await following;
    expect([exit, json['status']]).toEqual([1, 'CANCELLED']);
    expect(new Set(out).size).toBe(out.length);
  });

  test('a plan that cannot work is refused with its pointer', async () => {
    const release = ['--product', PRODUCT, '--version', '1.0.0', '--reason', 'r'];
    const ran = await run('alice', 'rollout', 'create', ...release, '--waves', '70%,40%');
    expect(ran).toMatchObject({ exit: 1, json: { error: { code: 'PLAN_INVALID', pointer: '/plan/waves' } } });
    const told = await say('alice', 'rollout', 'create', ...release, '--waves', '70%,40%');
    expect(told.err.join('\n')).toContain('OVER_100_PERCENT');
  });
});

describe('sites, chargers, people, audit', () => {
  test('a site, a token, a charger', async () => {
    const place = ['--type', 'depot', '--region', 'de', '--time-zone', 'Europe/Berlin'];
    expect((await run('alice', 'site', 'add', 'berlin', ...place)).exit).toBe(0);
    expect((await run('alice', 'site', 'add', 'berlin', ...place)).json.error?.code).toBe('ALREADY_EXISTS');
    const where = ['--product', PRODUCT, '--hardware', 'dc150-r2', '--site', 'berlin'];
    const tokens = await run('alice', 'fleet', 'token', 'B-1', 'B-2', ...where);
    expect(tokens.json['tokens']).toHaveLength(2);
    expect((await run('vera', 'fleet', 'list', '--site', 'berlin')).json['chargers']).toMatchObject([
      { serial: 'B-1', state: 'EXPECTED' },
      { serial: 'B-2', state: 'EXPECTED' },
    ]);
    const adopted = [
      'fleet',
      'adopt',
      'B-1',
      '--product',
      PRODUCT,
      '--version',
      '1.0.0',
      '--reason',
      'factory',
    ];
    expect((await run('alice', ...adopted)).json['adopted']).toBe(1);
    expect((await run('alice', 'fleet', 'replace', 'B-1', '--with', 'B-3', '--reason', 'r')).exit).toBe(0);
    expect((await say('vera', 'fleet', 'show', 'B-1')).out[0]).toBe('B-1  RETIRED, replaced by B-3');
  });

  test('a new operator gets a credential file of their own, which works until it is revoked', async () => {
    const add = ['operator', 'add', 'dora', '--role', 'viewer', '--reason', 'new'];
    const ran = await run('root', ...add);
    const file = ran.json['file'] as string;
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    typing.files.set('dora', file);
    expect((await run('dora', 'site', 'list')).exit).toBe(0);
    // The name is taken, and so is the file: neither is touched.
    expect((await run('root', ...add)).json.error?.code).toBe('FILE_EXISTS');
    expect((await run('root', ...add, '--out', 'dora.json')).json.error?.code).toBe('ALREADY_EXISTS');
    await expect(stat(join(typing.home, 'dora.json'))).rejects.toMatchObject({ code: 'ENOENT' });
    await run('root', 'operator', 'revoke', 'dora', '--reason', 'left');
    expect((await run('dora', 'site', 'list')).json.error?.code).toBe('CREDENTIAL_REVOKED');
  });

  test('the audit log is listed and verified', async () => {
    const { json } = await run('vera', 'audit', 'list', '--limit', '2');
    expect(json['entries']).toHaveLength(2);
    const good = await run('vera', 'audit', 'verify');
    expect(good).toMatchObject({ exit: 0, json: { ok: true } });
    const forged = ['audit', 'verify', '--position', '1', '--hash', '0'.repeat(64)];
    expect(await run('vera', ...forged)).toMatchObject({ exit: 1, json: { ok: false, fault: 'REWRITTEN' } });
  });
});

test('alarms are listed with what to do, and an urgent one shows in the exit code', async () => {
  expect(await run('vera', 'alarms')).toMatchObject({ exit: 0, json: { alarms: [] } });
  const { clock } = typing.service.desk;
  const before = clock.time;
  clock.time += 2 * 24 * 60 * 60 * 1000;
  const { exit, json } = await run('vera', 'alarms');
  expect([exit, json['alarms']]).toEqual([
    1,
    [expect.objectContaining({ code: 'ROLE_EXPIRED', subject: 'timestamp' })],
  ]);
  expect((await say('vera', 'alarms')).out.join('\n')).toMatch(
    /^urgent {3}ROLE_EXPIRED {2}timestamp .*\n {9}timestamp has expired/,
  );
  clock.time = before;
});

describe('exit codes', () => {
  test('2 where the command line or the credential is wrong', async () => {
    expect((await say('alice', 'rollout', 'create')).exit).toBe(2);
    expect((await say('alice', 'rollout', 'create', '--canary', 'many')).exit).toBe(2);
    expect(await run(undefined, 'site', 'list')).toMatchObject({
      exit: 2,
      json: { error: { code: 'CREDENTIAL_MISSING' } },
    });
    const open = join(typing.home, 'open.json');
    await writeFile(open, await readFile(typing.files.get('vera') ?? ''), { mode: 0o600 });
    await chmod(open, 0o644);
    typing.files.set('open', open);
    expect((await run('open', 'site', 'list')).json.error?.code).toBe('CREDENTIAL_EXPOSED');
  });

  test('3 where nobody answers, or somebody whom the CA does not vouch for', async () => {
    const save = async (name: string, change: Record<string, unknown>) => {
      const file = JSON.parse(await readFile(typing.files.get('vera') ?? '', 'utf8')) as object;
      typing.files.set(name, join(typing.home, `${name}.json`));
      await writeFile(join(typing.home, `${name}.json`), JSON.stringify({ ...file, ...change }), {
        mode: 0o600,
      });
    };
    await save('nowhere', { service: 'https://localhost:1' });
    expect(await run('nowhere', 'site', 'list')).toMatchObject({
      exit: 3,
      json: { error: { code: 'SERVICE_UNREACHABLE' } },
    });
    await save('early', { ca: '' });
    expect(await run('early', 'site', 'list')).toMatchObject({
      exit: 3,
      json: { error: { code: 'SERVICE_NOT_STARTED' } },
    });
    const other = await TestService.start((await testDatabase()).db);
    await save('stranger', { ca: (await other.listenTls()).ca });
    await other.stop();
    expect((await run('stranger', 'site', 'list')).exit).toBe(3);
  });

  test('every command has --json, examples and the exit codes in its help', () => {
    const context = { out: () => 0, err: () => 0, json: false, env: {}, cwd: typing.home, tty: false };
    const leaves = (command: Command): Command[] =>
      command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
    for (const command of operatorCommands(context).flatMap(leaves)) {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect(help).toMatch(/--json[\s\S]*Examples:\n {2}\$ tidegate [\s\S]*Exit codes: 0/);
    }
  });
});
