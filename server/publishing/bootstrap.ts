import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { POLICY_TARGET, PRODUCT, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import { ApiError } from '../http/index.ts';
import { publish } from './publish.ts';
import { refreshOnline } from './refresh.ts';
import type { Publication, PublishingDeps } from './types.ts';

/**
 * First start: publishes the signed metadata that `tidegate init` left in `initial` (`1.root.json`, `1.targets.json`,
 * `1.<product>.json`, `trust/policy.json`, `trust/sigstore_root.json`), verified like every other publication. Later starts only
 * see to it that snapshot and timestamp are fresh.
 *
 * @param onFenced told that another service has written into the store: this one starts all the same, so that people can look at it, but
 *   publishes nothing and is not ready.
 * @returns whether this was the first start.
 * @throws ApiError `REPOSITORY_FENCED` at a first start into a store that is another service's, and as `publish`
 */
export async function bootstrapRepository(
  deps: PublishingDeps,
  initial: string,
  onFenced: (error: ApiError) => void = rethrow,
): Promise<boolean> {
  const there = await deps.db
    .selectFrom('repository')
    .select('organisation')
    .where('organisation', '=', deps.organisation)
    .executeTakeFirst();
  if (there !== undefined) {
    await refreshOnline(deps).catch((error: unknown) => {
      // Whatever else keeps it from signing is told, and tried again, by the refresher.
      if (error instanceof ApiError && error.code === 'REPOSITORY_FENCED') onFenced(error);
    });
    return false;
  }
  const publisher = { name: 'service', reason: 'First start', source: 'local' };
  const { changed } = await publish(deps, await readInitial(initial), publisher);
  return changed;
}

function rethrow(error: ApiError): never {
  throw error;
}

async function readInitial(folder: string): Promise<Publication> {
  const text = (name: string) => readFile(join(folder, name), 'utf8');
  const products: Record<string, string> = {};
  for (const name of await readdir(folder)) {
    const product = /^1\.(?<product>.+)\.json$/.exec(name)?.groups?.['product'];
    if (product !== undefined && PRODUCT.test(product)) products[product] = await text(name);
  }
  return {
    roots: [await text('1.root.json')],
    targets: await text('1.targets.json'),
    policy: await text(POLICY_TARGET),
    sigstoreRoot: await text(SIGSTORE_ROOT_TARGET),
    products,
    strand: [],
  };
}
