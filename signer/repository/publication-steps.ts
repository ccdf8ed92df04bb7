/** What the service lacks of the working copy. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import { RepositoryError } from './errors.ts';
import type { Metadata, Root, Signed, Targets } from './metadata.ts';
import { productRole, productsOf, topLevelRole } from './products.ts';
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
    const targets = await source.read<Targets>('targets', published.targets);
    const roles = new Map(Object.entries(published.roles));
    const lastRoots = rootsFor(targets, roots);
    const steps: PublicationStep[] = [];
    let sent = 0;
    for (const [i, document] of targets.entries()) {
      const { before, beside } = await rolesFor(source, document.metadata, roles);
      steps.push(...before.map(roleStep));
      const until = lastRoots[i] ?? 0;
      steps.push(await targetsStep(source, document, roots.slice(sent, until), beside));
      sent = until;
    }
    const left = roots.slice(sent).map(({ text }) => text);
    if (left.length > 0) steps.push({ ...emptyStep(), roots: left });
    for (const [product, version] of roles) {
      for (const role of await source.read<Targets>(product, version))
        steps.push(roleStep({ product, ...role }));
    }
    return steps;
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

/**
 * Roles that the service needs beside these targets, because they are new or the one that it has is not signed by whom they name; and those
 * in between, which have to be there before. `roles` is brought to what the service has after them.
 */
async function rolesFor(
  source: Source,
  targets: Metadata<Targets>,
  roles: Map<string, number>,
): Promise<{ before: StoredRole[]; beside: StoredRole[] }> {
  const before: StoredRole[] = [];
  const beside: StoredRole[] = [];
  const products = productsOf(targets);
  for (const product of roles.keys()) if (!products.includes(product)) roles.delete(product);
  for (const product of products) {
    const has = roles.get(product);
    const needed = productRole(targets, product);
    const fits = ({ metadata }: Stored<Targets>) => signatureStatus(metadata, needed).complete;
    // From the one that the service has on.
    const known = await source.read<Targets>(product, (has ?? 1) - 1);
    const first = known.findIndex(fits);
    const found = known[first];
    // Another desk has it, and nothing newer is here.
    if (known.length === 0 && has !== undefined) continue;
    if (found === undefined) throw new RepositoryError('WORKING_COPY_BROKEN', `No role of ${product}`);
    if (found.metadata.signed.version === has) continue;
    const between = has === undefined ? [] : known.slice(0, first);
    before.push(
      ...between
        .filter(({ metadata }) => metadata.signed.version !== has)
        .map((role) => ({ product, ...role })),
    );
    beside.push({ product, ...found });
    roles.set(product, found.metadata.signed.version);
  }
  return { before, beside };
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
