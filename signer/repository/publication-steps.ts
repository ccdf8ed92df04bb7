/** What the service lacks of the working copy. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import { RepositoryError } from './errors.ts';
import type { Metadata, Root, Signed, Targets } from './metadata.ts';
import { productsOf, topLevelRole } from './products.ts';
import { type RoleOrder, roleOrder } from './publication-order.ts';
import { signatureStatus } from './signatures.ts';
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
 * before, and after each everything is signed by whom the document above it names. So a root comes with the first targets that need it, and
 * targets that give a product to other people with the role that those have signed. Empty when the service has everything.
 * @throws RepositoryError `WORKING_COPY_MISSING`, `WORKING_COPY_BROKEN`.
 */
export async function publicationSteps(
  folder: string,
  published: PublishedVersions,
): Promise<PublicationStep[]> {
  const source = await openSource(folder);
  return unbroken(folder, async () => {
    const roots = await source.read<Root>('root', published.root);
    // The one that the service has stands first, where it is here.
    const known = await source.read<Targets>('targets', published.targets - 1);
    const targets = known.filter(({ metadata }) => metadata.signed.version > published.targets);
    const current = known.find(({ metadata }) => metadata.signed.version === published.targets);
    const orders = await rolesInOrder(source, [current, ...targets], published.roles);
    const alone = (i: number) => orders.flatMap(({ after }) => after.get(i) ?? []).map(roleStep);
    const steps = alone(0);
    const rootsUntil = rootsFor(targets, roots);
    let sent = 0;
    for (const [i, document] of targets.entries()) {
      const until = rootsUntil[i] ?? 0;
      const beside = orders.flatMap((order) => order.beside.get(i + 1) ?? []);
      steps.push(await targetsStep(source, document, roots.slice(sent, until), beside), ...alone(i + 1));
      sent = until;
    }
    const left = roots.slice(sent).map(({ text }) => text);
    return left.length === 0 ? steps : [{ ...emptyStep(), roots: left }, ...steps];
  });
}

interface Stored<T extends Signed> {
  text: string;
  metadata: Metadata<T>;
}

type StoredRole = Stored<Targets> & { product: string };

interface Source {
  folder: string;
  /** Every version above this one, oldest first. */
  read<T extends Signed>(role: string, above: number): Promise<Stored<T>[]>;
}

async function openSource(folder: string): Promise<Source> {
  const versions = await listVersions(folder);
  return {
    folder,
    read: async <T extends Signed>(role: string, above: number) => {
      const stored: Stored<T>[] = [];
      for (const version of (versions.get(role) ?? []).filter((n) => n > above)) {
        const text = await readFile(join(folder, `${version}.${role}.json`), 'utf8');
        stored.push({ text, metadata: JSON.parse(text) as Metadata<T> });
      }
      return stored;
    },
  };
}

/**
 * For each of the targets how many of the roots are there with it: the newest that trusts it, and none newer than what later targets need.
 * As early as possible, because only a new root helps where the old one has expired.
 */
function rootsFor(targets: Stored<Targets>[], roots: Stored<Root>[]): number[] {
  let most = roots.length;
  const counts = targets.toReversed().map(({ metadata }) => {
    while (most > 0 && !isTrustedBy(roots[most - 1]?.metadata, metadata)) most--;
    return most;
  });
  return counts.toReversed();
}

function isTrustedBy(root: Metadata<Root> | undefined, targets: Metadata<Targets>): boolean {
  return root !== undefined && signatureStatus(targets, topLevelRole(root, 'targets')).complete;
}

async function rolesInOrder(
  source: Source,
  targets: readonly (Stored<Targets> | undefined)[],
  published: Record<string, number>,
): Promise<RoleOrder<StoredRole>[]> {
  const documents = targets.map((one) => one?.metadata);
  const products = new Set(documents.flatMap((one) => (one === undefined ? [] : productsOf(one))));
  const orders: RoleOrder<StoredRole>[] = [];
  for (const product of new Set([...Object.keys(published), ...products])) {
    const has = published[product];
    const stored = await source.read<Targets>(product, (has ?? 1) - 1);
    const roles = stored.map((role) => ({ product, ...role }));
    // What another desk made and published is not here; whether it fits is for the service to say.
    const known = has === undefined || roles[0]?.metadata.signed.version === has;
    if (!known && roles.length > 0) {
      throw new RepositoryError(
        'WORKING_COPY_BROKEN',
        `${product} ${has}, which the service has, is missing`,
      );
    }
    const order = roleOrder(product, documents, roles, has !== undefined);
    if (order === undefined) throw new RepositoryError('WORKING_COPY_BROKEN', `No role of ${product} fits`);
    orders.push(order);
  }
  return orders;
}

async function targetsStep(
  source: Source,
  { text, metadata }: Stored<Targets>,
  roots: Stored<Root>[],
  beside: StoredRole[],
): Promise<PublicationStep> {
  return {
    roots: roots.map((root) => root.text),
    targets: text,
    policy: (await readTrustFile(source.folder, metadata, POLICY_TARGET)).toString('utf8'),
    sigstoreRoot: (await readTrustFile(source.folder, metadata, SIGSTORE_ROOT_TARGET)).toString('utf8'),
    products: Object.fromEntries(beside.map((role) => [role.product, role.text])),
  };
}

function roleStep({ product, text }: StoredRole): PublicationStep {
  return { ...emptyStep(), products: { [product]: text } };
}

function emptyStep(): PublicationStep {
  return { roots: [], targets: null, policy: null, sigstoreRoot: null, products: {} };
}
