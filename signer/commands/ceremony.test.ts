/** What the commands of a ceremony add to its rules: questions at a terminal, files, and the service's own keys. */
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Desk, openDesk } from './desk.fixture.ts';

let desk: Desk;
beforeEach(async () => {
  desk = await openDesk();
});
afterEach(() => desk.close());

describe('a new key, on a terminal', () => {
  it('has the passphrase that was typed twice', async () => {
    const made = await desk.answer(['correct horse', 'correct horse'], 'key', 'create', 'ann.key.json');
    expect(made).toMatchObject({ exit: 0 });
    desk.env['TIDEGATE_PASSPHRASE'] = 'correct horse';
    expect((await desk.run('key', 'show', '--key', 'ann.key.json')).exit).toBe(0);
    desk.env['TIDEGATE_PASSPHRASE'] = 'another';
    expect((await desk.run('key', 'show', '--key', 'ann.key.json')).code).toBe('KEY_PASSPHRASE');
  });

  it('is not made where the two differ, or where nobody answers', async () => {
    const differ = await desk.answer(['correct horse', 'correct house'], 'key', 'create', 'ann.key.json');
    expect(differ).toMatchObject({ exit: 1, code: 'PASSPHRASES_DIFFER' });
    const silent = await desk.answer([], 'key', 'create', 'ann.key.json');
    expect(silent).toMatchObject({ exit: 1, code: 'KEY_PASSPHRASE_MISSING' });
    await expect(readFile(desk.path('ann.key.json'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(readFile(desk.path('ann.pub'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('the first ceremony', () => {
  beforeEach(async () => {
    desk.env['TIDEGATE_PASSPHRASE'] = 'x';
    for (const name of ['ann', 'ben', 'ci']) await desk.run('key', 'create', `${name}.key.json`);
    await desk.run('key', 'service');
    const people = ['--add-person', 'ann=ann.pub', '--add-person', 'ben=ben.pub'];
    const product = ['--add-product', 'acme.dc150', '--engineers', 'ann,ben', '--builder-key', 'ci.pub'];
    const hardware = ['--hardware', 'dc150-r2', '--service-keys', 'service.pub.json'];
    const start = ['ceremony', 'start', 'first', '--new', 'acme', ...people, ...product, ...hardware];
    expect(await desk.run(...start)).toMatchObject({ exit: 0 });
  });

  const sign = (answers: string[]) =>
    desk.answer(answers, 'ceremony', 'sign', 'first', '--key', 'ann.key.json');

  it.each([[['n']], [['']], [['yep']], [[]]])('is not signed by whoever answers %j', async (answers) => {
    const before = await readFile(desk.path('first'));
    const run = await sign(answers);
    expect(run).toMatchObject({ exit: 1, code: 'NOT_CONFIRMED' });
    // What would have been signed was shown before the question.
    expect(run.err.join('\n')).toContain('acme.dc150');
    expect(await readFile(desk.path('first'))).toEqual(before);
  });

  it.each(['y', 'YES'])('is signed by whoever answers %s', async (answer) => {
    expect((await sign([answer])).exit).toBe(0);
    const { json } = await desk.run('ceremony', 'status', 'first');
    expect(json['documents']).toMatchObject([{ quorums: [{ signed: [{ name: 'ann' }] }] }, {}, {}]);
  });

  it.each(['{"issuer": 5, "workflow": "w"}', '{"issuer": "i"}', '{"issuer": '])(
    'takes no builder from %s',
    async (text) => {
      await writeFile(desk.path('builder.json'), text);
      const product = ['--add-product', 'acme.dc150', '--engineers', 'ann=ann.pub'];
      const start = ['ceremony', 'start', 'other', '--new', 'acme', '--service-keys', 'service.pub.json'];
      const run = await desk.run(...start, ...product, '--builder-key', 'builder.json');
      expect(run).toMatchObject({ exit: 2, code: 'OPTION_INVALID' });
    },
  );

  it('is not finished where the service has other keys than it names', async () => {
    for (const name of ['ann', 'ben']) {
      await desk.run('ceremony', 'sign', 'first', '--key', `${name}.key.json`);
    }
    await rm(desk.path('.tidegate', 'service', 'online', 'director.key.json'));
    await desk.run('key', 'service', '--out', 'other.pub.json');
    const finish = ['ceremony', 'finish', 'first', '--operators', 'dora,emil'];
    expect(await desk.run(...finish)).toMatchObject({ exit: 1, code: 'SERVICE_KEYS_FOREIGN' });
    await expect(readFile(desk.path('.tidegate', 'service', 'service.json'))).rejects.toThrow('ENOENT');
  });

  it('is not read where the file is far too long', async () => {
    await truncate(desk.path('first'), 1024 ** 3);
    expect(await desk.run('ceremony', 'status', 'first')).toMatchObject({ exit: 1, code: 'FILE_TOO_LARGE' });
  });
});
