/** What `init`, `start` and the people's commands have put on this machine, and its removal. */
import { access, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseLocation } from '../blobs/index.ts';
import { embeddedPlace, removeEmbeddedPostgres } from '../db/index.ts';
import { StartError } from './errors.ts';
import { describe, holderOf } from './running.ts';

/** Below the state directory. Anything else in it is somebody's own, and stays. */
const MADE = [
  { name: 'service', what: 'the service: online keys, CA, published files, uploads' },
  { name: 'keys', what: 'offline keys: nothing can be signed with them ever again' },
  { name: 'credentials', what: 'credentials of people' },
  { name: 'releases', what: 'proposals of releases' },
  { name: 'repository', what: "the engineers' copy of the signed metadata" },
  { name: 'ceremony.json', what: 'who was named at the ceremony' },
] as const;

export interface Remains {
  /** The state directory. */
  home: string;
  remove: { path: string; what: string }[];
  /** In the state directory, and not Tidegate's. */
  keep: string[];
  /** What Tidegate has, or may have, put somewhere else: it stays there. No secrets. */
  elsewhere: string[];
}

/**
 * What a removal would take, and what it would leave. Nothing is changed.
 * @throws StartError `STATE_MISSING` where no state directory is, `ALREADY_RUNNING` while a service holds it
 */
export async function findRemains(home: string, env: Environment): Promise<Remains> {
  const names = await readdir(home).catch((): string[] => []);
  if (!(await isState(home))) throw new StartError('STATE_MISSING', home);
  const folder = join(home, 'service');
  const holder = await holderOf(folder);
  if (holder !== undefined) throw new StartError('ALREADY_RUNNING', describe(holder));
  const made = MADE.filter(({ name }) => names.includes(name));
  const remove: Remains['remove'] = made.map(({ name, what }) => ({ path: join(home, name), what }));
  const database = await embeddedPlace(join(folder, 'postgres'));
  if (database !== undefined && (await exists(database))) {
    remove.unshift({ path: database, what: 'the database, which lies where its own user can reach it' });
  }
  const keep = names.filter((name) => !made.some((each) => each.name === name));
  return { home, remove, keep, elsewhere: await findElsewhere(folder, env) };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Told by the environment that the service had. Addresses of databases hold passwords, so they are not shown. */
async function findElsewhere(folder: string, env: Environment): Promise<string[]> {
  const { TIDEGATE_STORE: store, DATABASE_URL: database, REDIS_URL: redis } = env;
  const tables = database ? ['the database of DATABASE_URL: every row of this service'] : [];
  const queue = redis ? ['the Redis of REDIS_URL: the queue'] : [];
  return [...(await publishedElsewhere(folder, store)), ...tables, ...queue];
}

async function publishedElsewhere(folder: string, store: string | undefined): Promise<string[]> {
  const what = 'every image and all signed metadata that was published';
  const place = store ? parseLocation(store) : undefined;
  if (place !== undefined) {
    const bucket = 'problem' in place ? 'of TIDEGATE_STORE' : `s3://${place.bucket}/${place.prefix}`;
    return [`the bucket ${bucket}: ${what}`];
  }
  if (await exists(join(folder, 'tuf'))) return [];
  return [`a bucket, if the service ever ran with TIDEGATE_STORE: ${what}`];
}

/** Carries it out: the database first, because what is in the state directory says where it is. */
export async function destroy(home: string, env: Environment): Promise<Remains> {
  const remains = await findRemains(home, env);
  await removeEmbeddedPostgres(join(home, 'service', 'postgres'));
  for (const { path } of remains.remove) await rm(path, { recursive: true, force: true });
  if (remains.keep.length === 0) await rmdir(home);
  return remains;
}

/** A folder that merely has one of the names in it is not taken for one. */
async function isState(home: string): Promise<boolean> {
  const marks = [join(home, 'service', 'service.json'), join(home, 'ceremony.json')];
  const found = await Promise.all(marks.map((path) => stat(path).catch(() => undefined)));
  return found.some((file) => file?.isFile());
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
