/** What the service lacks of the working copy. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import { RepositoryError } from './errors.ts';
import type { Metadata, Targets } from './metadata.ts';
import { productsOf } from './products.ts';
import { listVersions, readTrustFile, unbroken } from './working-copy.ts';

/** What the service says it has. */
export interface PublishedVersions {
  root: number;
  targets: number;
  /** By product. */
  roles: Record<string, number>;
}

/** Documents that go to the service together, each as the exact text that was signed. */
export interface PublicationStep {
  /** Oldest first. */
  roots: string[];
  targets: string | null;
  policy: string | null;
  sigstoreRoot: string | null;
  /** By product. */
  products: Record<string, string>;
}

/**
 * What the service lacks, as publications to send one after the other: in each, a document is exactly one version above the one
 * before, and a new product comes with its role. Empty when the service has everything.
 * @throws RepositoryError `WORKING_COPY_MISSING`, `WORKING_COPY_BROKEN`.
 */
export async function publicationSteps(
  folder: string,
  published: PublishedVersions,
): Promise<PublicationStep[]> {
  const source = await openSource(folder);
  return unbroken(folder, async () => {
    const { steps, roles } = await targetsSteps(source, published);
    for (const [product, version] of roles) {
      for (const newer of source.above(product, version)) {
        steps.push({ ...emptyStep(), products: { [product]: await source.text(product, newer) } });
      }
    }
    const roots: string[] = [];
    for (const version of source.above('root', published.root))
      roots.push(await source.text('root', version));
    if (roots.length === 0) return steps;
    const [first = emptyStep(), ...later] = steps;
    return [{ ...first, roots }, ...later];
  });
}

interface Source {
  folder: string;
  above(role: string, version: number): number[];
  text(role: string, version: number): Promise<string>;
}

async function openSource(folder: string): Promise<Source> {
  const versions = await listVersions(folder);
  return {
    folder,
    above: (role, version) => (versions.get(role) ?? []).filter((n) => n > version),
    text: (role, version) => readFile(join(folder, `${version}.${role}.json`), 'utf8'),
  };
}

/** One step for each newer version of the targets; `roles` are the versions that the service has after them. */
async function targetsSteps(
  source: Source,
  published: PublishedVersions,
): Promise<{ steps: PublicationStep[]; roles: Map<string, number> }> {
  const roles = new Map(Object.entries(published.roles));
  const steps: PublicationStep[] = [];
  for (const version of source.above('targets', published.targets)) {
    const text = await source.text('targets', version);
    const targets = JSON.parse(text) as Metadata<Targets>;
    const products: Record<string, string> = {};
    for (const product of productsOf(targets).filter((name) => !roles.has(name))) {
      const first = source.above(product, 0)[0];
      if (first === undefined) throw new RepositoryError('WORKING_COPY_BROKEN', `No role of ${product}`);
      products[product] = await source.text(product, first);
      roles.set(product, first);
    }
    const policy = (await readTrustFile(source.folder, targets, POLICY_TARGET)).toString('utf8');
    const sigstoreRoot = (await readTrustFile(source.folder, targets, SIGSTORE_ROOT_TARGET)).toString('utf8');
    steps.push({ roots: [], targets: text, policy, sigstoreRoot, products });
  }
  return { steps, roles };
}

function emptyStep(): PublicationStep {
  return { roots: [], targets: null, policy: null, sigstoreRoot: null, products: {} };
}
