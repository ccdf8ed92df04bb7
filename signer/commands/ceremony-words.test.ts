/** What people mistype around a ceremony, and what they are told. */
import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Desk, openDesk } from './desk.fixture.ts';

let desk: Desk;

beforeEach(async () => {
  desk = await openDesk();
  desk.env['TIDEGATE_PASSPHRASE'] = 'for tests';
});

afterEach(() => desk.close());

const FIRST = ['--new', 'acme', '--service-keys', 'service.pub.json'];
const start = (...args: string[]) => desk.say('ceremony', 'start', 'x.ceremony', ...args);

async function founded(): Promise<void> {
  await desk.run('key', 'service');
  for (const who of ['ann', 'ben']) await desk.run('key', 'create', `${who}.key.json`);
  await start(...FIRST, '--add-person', 'ann=ann.pub', '--add-person', 'ben=ben.pub');
  for (const who of ['ann', 'ben'])
    await desk.run('ceremony', 'sign', 'x.ceremony', '--key', `${who}.key.json`);
  const finished = await desk.run('ceremony', 'finish', 'x.ceremony', '--operators', 'dora,emil');
  expect(finished.exit).toBe(0);
}

describe('what is mistyped', () => {
  it.each([
    [['--new', 'Acme GmbH', '--service-keys', 'service.pub.json'], /--new takes an id .*"Acme GmbH"/],
    [['--new', 'acme'], /--service-keys takes .*and is not given/],
    [
      ['--new', 'acme', '--service-keys', 'service.pub.json', '--engineers', 'ann'],
      /goes with --add-product/,
    ],
    [
      ['--new', 'acme', '--service-keys', 'service.pub.json', '--at', '2026-12-01'],
      /goes with --retire-builder/,
    ],
  ])('%j says which option is meant', async (args, words) => {
    await desk.run('key', 'service');
    const { exit, err } = await start(...args);
    expect(exit).toBe(2);
    expect(err.join('\n')).toMatch(words);
  });

  it('sends nobody who is in the wrong folder to make every key anew', async () => {
    for (const args of [['start', 'y.ceremony', '--renew', 'all'], ['status']]) {
      const { exit, err } = await desk.say('ceremony', ...args);
      expect(exit).toBe(1);
      expect(err.join('\n')).toContain('folder that holds .tidegate');
    }
  });

  it('names the file that is no ceremony', async () => {
    await writeFile(desk.path('letter.txt'), 'Dear Ben');
    expect((await desk.say('ceremony', 'status', 'letter.txt')).err[0]).toContain('letter.txt');
  });
});

it('documents that end soon, or have ended, are shown as that, with what to do', async () => {
  await founded();
  const status = async () => (await desk.say('ceremony', 'status')).out.join('\n');
  const DAY_MS = 24 * 60 * 60 * 1000;
  expect(await status()).not.toContain('--renew');
  desk.now += 80 * DAY_MS;
  expect(await status()).toMatch(/root version 1 is valid until .*, 10 days from now\. .*--renew all/);
  desk.now += 20 * DAY_MS;
  expect(await status()).toMatch(/targets version 1 counts no more since .*--renew all/);
});

describe('a key of the service', () => {
  it('is not switched to one that is not there, or that nobody has named', async () => {
    await founded();
    const early = ['key', 'service', '--switch', 'snapshot'];
    expect((await desk.run(...early)).code).toBe('SUCCESSOR_MISSING');
    await desk.run('key', 'service', '--next', 'snapshot', '--out', 'next.pub');
    expect((await desk.run(...early)).code).toBe('SUCCESSOR_UNNAMED');
    const add = ['ceremony', 'start', 'next.ceremony', '--add-online-key', 'snapshot=next.pub'];
    expect((await desk.run(...add)).exit).toBe(0);
    for (const who of ['ann', 'ben'])
      await desk.run('ceremony', 'sign', 'next.ceremony', '--key', `${who}.key.json`);
    expect((await desk.run(...early)).code).toBe('SUCCESSOR_UNNAMED');
    await desk.run('ceremony', 'finish', 'next.ceremony');
    expect((await desk.run(...early)).exit).toBe(0);
  });

  it('has one successor, however often it is asked for', async () => {
    await desk.run('key', 'service');
    const next = ['key', 'service', '--next', 'director', '--out'];
    await desk.run(...next, 'one.pub');
    expect((await desk.say(...next, 'two.pub')).out.join('\n')).toContain('--stolen-director');
    expect(await readFile(desk.path('two.pub'), 'utf8')).toBe(await readFile(desk.path('one.pub'), 'utf8'));
  });
});

it('a key that is in no file of ours is handed over as one, and never over another file', async () => {
  await desk.run('key', 'create', 'ann.key.json');
  const show = ['key', 'show', '--key', 'ann.key.json', '--out'];
  expect((await desk.say(...show, 'hsm.pub')).out.join('\n')).toContain('read out');
  expect(await readFile(desk.path('hsm.pub'), 'utf8')).toBe(await readFile(desk.path('ann.pub'), 'utf8'));
  expect((await desk.run(...show, 'hsm.pub')).code).toBe('FILE_EXISTS');
});
