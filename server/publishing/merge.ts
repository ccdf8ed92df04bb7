/** A publication laid over what is there, before anything of it is trusted. What it leaves alone is neither read nor parsed. */
import { refusing } from '@tidegate/client-sdk/protocol';
import { canonicalBytes } from '@tidegate/client-sdk/trust';
import { type MetaFile, type Metadata, metadataKey, type Targets } from '@tidegate/signer/repository';
import { ApiError } from '../http/index.ts';
import { type Current, type Documents, readBlob, sha256Of } from './current.ts';
import { nextDocument } from './versions.ts';
import type { Publication, PublishingDeps } from './types.ts';

export interface Merged {
  /** New roots, oldest first. */
  roots: { version: number; bytes: Buffer }[];
  documents: Documents;
  /** Roles by product: as bytes where they are new or have to be verified again, else as the snapshot has had them. */
  roles: Map<string, Buffer | MetaFile>;
  /** Products whose role is another one than before. */
  changedRoles: string[];
  /** Products whose role is the same, under keys or a threshold that are not. */
  redelegated: string[];
  /** Products that the targets no longer delegate. */
  removed: string[];
  /**
   * Their roles, and those of products that went earlier, as the snapshot has had them. It goes on listing them: a charger refuses a snapshot
   * from which a file has gone, whatever its own product is. TUF 5.5.5
   */
  departed: Map<string, MetaFile>;
  unchanged: boolean;
}

type Blobs = Pick<PublishingDeps, 'blobs'>;

/**
 * Every document is byte-identical to the published one, or the next version.
 * @throws ApiError `ROLE_VERSION`, `PRODUCT_UNKNOWN`, `METADATA_REFUSED`; Refusal `METADATA_MALFORMED`
 */
export async function merge(
  deps: Blobs,
  current: Current | undefined,
  publication: Publication,
): Promise<Merged> {
  const before = current?.documents;
  const roots = await newRoots(deps, current, publication.roots);
  const targets = await newTargets(deps, current, publication.targets);
  const documents = {
    root: roots.at(-1)?.bytes ?? before?.root ?? Buffer.alloc(0),
    targets,
    policy: replaced('/policy', before?.policy, publication.policy),
    sigstoreRoot: replaced('/sigstoreRoot', before?.sigstoreRoot, publication.sigstoreRoot),
  };
  const changed = await newRoles(deps, current, publication.products);
  const roles = new Map<string, Buffer | MetaFile>([...(current?.roles ?? []), ...changed]);
  const delegated = delegationsIn(targets);
  requireDelegated(roles, changed, delegated);
  const departed = new Map([...(current?.roles ?? [])].filter(([product]) => !delegated.has(product)));
  const earlier = before && (before.targets === targets ? delegated : delegationsIn(before.targets));
  const redelegated = [...delegated.keys()].filter(
    (product) => !changed.has(product) && delegated.get(product) !== earlier?.get(product),
  );
  const removed = [...departed.keys()].filter((product) => earlier?.has(product) === true);
  for (const product of redelegated) roles.set(product, await readRole(deps, product, roles.get(product)));
  const unchanged =
    roots.length === 0 &&
    changed.size === 0 &&
    targets === before?.targets &&
    documents.policy === before.policy &&
    documents.sigstoreRoot === before.sigstoreRoot;
  const changedRoles = [...changed.keys()];
  return { roots, documents, roles, changedRoles, redelegated, removed, departed, unchanged };
}

async function newRoots(
  deps: Blobs,
  current: Current | undefined,
  texts: string[],
): Promise<Merged['roots']> {
  let last = current?.row.root_version ?? 0;
  const roots: Merged['roots'] = [];
  for (const [i, text] of texts.entries()) {
    const bytes = Buffer.from(text);
    if (current?.documents.root.equals(bytes)) continue;
    const root = await nextDocument(deps, { role: 'root', pointer: `/roots/${i}`, bytes, last });
    roots.push(root);
    last = root.version;
  }
  return roots;
}

async function newTargets(deps: Blobs, current: Current | undefined, text: string | null): Promise<Buffer> {
  const pointer = '/targets';
  const before = current?.documents.targets;
  const bytes = replaced(pointer, before, text);
  if (bytes === before) return bytes;
  const last = current?.row.targets_version ?? 0;
  return (await nextDocument(deps, { role: 'targets', pointer, bytes, last })).bytes;
}

/** Those that are other bytes than the snapshot has. */
async function newRoles(
  deps: Blobs,
  current: Current | undefined,
  products: Publication['products'],
): Promise<Map<string, Buffer>> {
  const roles = new Map<string, Buffer>();
  for (const [product, text] of Object.entries(products)) {
    const bytes = Buffer.from(text);
    const published = current?.roles.get(product);
    if (published?.hashes?.sha256 === sha256Of(bytes)) continue;
    const last = published?.version ?? 0;
    const next = { role: product, pointer: `/products/${product}`, bytes, last };
    roles.set(product, (await nextDocument(deps, next)).bytes);
  }
  return roles;
}

/** A product that these targets no longer delegate to goes from `roles`; what runs its images is named later. */
function requireDelegated(
  roles: Map<string, unknown>,
  changed: ReadonlyMap<string, Buffer>,
  delegated: ReadonlyMap<string, string>,
): void {
  const removed = [...roles.keys()].filter((product) => !delegated.has(product));
  const unknown = removed.find((product) => changed.has(product));
  if (unknown !== undefined) {
    throw new ApiError('PRODUCT_UNKNOWN', `The top-level targets do not delegate to ${unknown}.`, {
      pointer: `/products/${unknown}`,
    });
  }
  const missing = [...delegated.keys()].find((product) => !roles.has(product));
  if (missing !== undefined) {
    throw new ApiError('METADATA_REFUSED', `The targets delegate to ${missing}, whose role is not here.`, {
      pointer: `/products/${missing}`,
    });
  }
  for (const product of removed) roles.delete(product);
}

/** What each product's role is verified by: its delegation, with the keys that it names. */
function delegationsIn(targets: Buffer): Map<string, string> {
  return refusing('METADATA_MALFORMED', 'Delegations', () => {
    const { signed } = JSON.parse(targets.toString('utf8')) as Metadata<Targets>;
    const { roles, keys } = signed.delegations ?? { roles: [], keys: {} };
    return new Map(
      roles.map((role) => {
        const named = role.keyids.map((id) => keys[id] ?? null);
        return [role.name, canonicalBytes({ role, named }).toString('utf8')];
      }),
    );
  });
}

async function readRole(
  { blobs }: Blobs,
  product: string,
  role: Buffer | MetaFile | undefined,
): Promise<Buffer> {
  if (role === undefined || role instanceof Uint8Array) throw new TypeError(`${product} is not published`);
  return readBlob(blobs, metadataKey(product, role.version));
}

function replaced(pointer: string, before: Buffer | undefined, text: string | null): Buffer {
  if (text !== null) {
    const bytes = Buffer.from(text);
    return before?.equals(bytes) ? before : bytes;
  }
  if (before !== undefined) return before;
  throw new ApiError('METADATA_REFUSED', 'The first publication needs every document.', { pointer });
}
