/** Ceremonies of several people on several machines, as they would type them; a real charger follows each of them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { testDatabase } from '../support/postgres.ts';
import { play } from './play.ts';
import { Stage } from './stage.ts';

const folder = import.meta.dirname;
const transcripts = readdirSync(folder).filter((name) => name.endsWith('.txt'));

/** After a wanted change, `vitest run test/ceremony -u` writes what is said now; read the difference before you commit it. */
it.each(transcripts)('%s', async (name) => {
  const stage = await Stage.open(async () => (await testDatabase()).db);
  try {
    const path = join(folder, name);
    await expect(play(stage, readFileSync(path, 'utf8'))).resolves.toMatchFileSnapshot(path);
  } finally {
    await stage.close();
  }
});

it('there are transcripts', () => expect(transcripts.length).toBeGreaterThanOrEqual(8));
