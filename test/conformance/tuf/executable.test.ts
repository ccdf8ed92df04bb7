/** The executable itself, by its command line and exit codes; everything else is tested in the same process. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { Repository } from './testing/repository.ts';

const FAR = '2999-01-01T00:00:00Z';
let repository: Repository;
let client: ClientUnderTest;

beforeEach(async () => {
  repository = new Repository();
  repository.addArtifact('targets', 'path/to/file.txt', 'content');
  for (const role of [repository.root, repository.top, repository.snapshot, repository.timestamp]) {
    role.expires = FAR;
  }
  repository.publish('root', 'targets', 'snapshot', 'timestamp');
  client = await ClientUnderTest.start(repository);
});

afterEach(() => client.stop());

it('initialises, refreshes and downloads, and says by its exit code whether all of it succeeded', async () => {
  const root = path.join(client.folder, 'root.json');
  await writeFile(root, repository.latest('root'));
  expect(await client.execute(client.refreshArgs())).toBe(1);
  expect(await client.execute(client.initArgs(root))).toBe(0);
  expect(await client.execute(client.refreshArgs())).toBe(0);
  expect(await client.execute(client.downloadArgs('path/to/file.txt'))).toBe(0);
  expect(await client.artifacts()).toEqual(['content']);
  expect(await client.execute(client.downloadArgs('path/to/file.txt', 'missing'))).toBe(1);
});

it('ends with 1 for whatever it does not understand', async () => {
  const strange = [
    [],
    ['refresh'],
    ['--unknown', 'refresh'],
    ['--metadata-dir', client.metadataDir, 'destroy'],
    [...client.refreshArgs(), 'more'],
    ['--metadata-dir', client.metadataDir, '--metadata-url', 'no url', 'refresh'],
    client.initArgs(path.join(client.folder, 'no such file')),
    client.downloadArgs(),
  ];
  expect(await Promise.all(strange.map((args) => client.execute(args)))).toEqual(strange.map(() => 1));
});
