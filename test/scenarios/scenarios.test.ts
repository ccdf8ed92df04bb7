import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { play } from './play.ts';

const folder = import.meta.dirname;
const transcripts = readdirSync(folder).filter((name) => name.endsWith('.txt'));

/** After a wanted change of behaviour, `vitest run test/scenarios -u` writes what is decided now; read the difference before you commit it. */
it.each(transcripts)('%s', async (name) => {
  const path = join(folder, name);
  await expect(play(readFileSync(path, 'utf8'))).toMatchFileSnapshot(path);
});

it('there are transcripts', () => expect(transcripts.length).toBeGreaterThanOrEqual(8));
