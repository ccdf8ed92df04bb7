/** What a publication does to an organisation's releases, and whether each of them holds. */
import { isDeepStrictEqual } from 'node:util';
import type { Transaction } from 'kysely';
import { FILE_NAME, type ReleaseTarget, type SideFile, targetPath } from '@tidegate/client-sdk/protocol';
import { ApiError } from '../http/index.ts';
import type { Database, Row } from '../db/index.ts';
import { targetKey } from '@tidegate/signer/repository';
import { reviewAttestations } from './attestations.ts';
import type { Candidate } from './candidate.ts';
import { collect, readBlob } from './current.ts';
import { readStaged, stagedLength } from './staging.ts';
import type { PublishingDeps } from './types.ts';

export interface ReleaseChanges {
  /** Listed now and never before. */
  added: { product: string; target: ReleaseTarget }[];
  /** Same bytes, other side: attested again, another fallback, other notes; or listed again after it was yanked. */
  changed: { product: string; target: ReleaseTarget }[];
  /** Listed before and not any more. */
  yanked: Row<'releases'>[];
  /** Paths of those among them that were verified anew, with their new attestations. */
  verified: Set<string>;
  /** Staged files that the repository will refer to. */
  promote: SideFile[];
}

/**
 * @throws ApiError `VERSION_EXISTS`, `DIGEST_EXISTS`, `TARGET_INCONSISTENT`, `FALLBACK_UNKNOWN`, `UPLOAD_MISSING`, `UPLOAD_MISMATCH`
 * @throws Refusal where a charger would refuse the release
 * @param options.verified whether all of it was published, and so verified, before.
 */
export async function reviewReleases(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  candidate: Candidate,
  { verified = false } = {},
): Promise<ReleaseChanges> {
  const known = await releasesOf(deps, trx, [...candidate.changedRoles, ...candidate.removed]);
  const changes: ReleaseChanges = {
    added: [],
    changed: [],
    yanked: [],
    verified: new Set(),
    promote: [],
  };
  for (const product of candidate.changedRoles) {
    sortTargets(product, candidate, known, changes);
  }
  const rows = new Map(known.map((row) => [row.path, row]));
  for (const { product, target } of [...changes.added, ...changes.changed]) {
    const row = rows.get(target.path);
    requireConsistent(product, target);
    requireFallbacksListed(product, target, candidate);
    await requirePromotable(deps, target, changes.promote);
    if (verified || !gains(row, target)) continue;
    await requireVerified(deps, product, target, candidate, row);
    changes.verified.add(target.path);
  }
  changes.yanked = known.filter((row) => row.yanked_at === null && !isListed(candidate, row));
  return changes;
}

export async function releasesOf(
  { organisation }: Pick<PublishingDeps, 'organisation'>,
  trx: Transaction<Database>,
  products: readonly string[],
): Promise<Row<'releases'>[]> {
  if (products.length === 0) return [];
  return trx
    .selectFrom('releases')
    .selectAll()
    .where('organisation', '=', organisation)
    .where('product', 'in', products)
    .execute();
}

/** Tells new targets from known ones, and refuses a known one with other bytes. */
function sortTargets(
  product: string,
  candidate: Candidate,
  known: Row<'releases'>[],
  changes: ReleaseChanges,
): void {
  const taken = known.filter((row) => row.product === product);
  const byPath = new Map(taken.map((row) => [row.path, row]));
  const versions = new Set(taken.map((row) => row.version));
  const digests = new Set(taken.map((row) => row.sha256));
  for (const path of candidate.set.productRole(product).targets.keys()) {
    const target = candidate.set.productTarget(product, path);
    const row = byPath.get(path);
    if (row === undefined) {
      const pointer = `/products/${product}`;
      const { version } = target.custom;
      if (versions.has(version)) throw new ApiError('VERSION_EXISTS', `${product} ${version}`, { pointer });
      if (digests.has(target.sha256)) throw new ApiError('DIGEST_EXISTS', path, { pointer });
      versions.add(version);
      digests.add(target.sha256);
      changes.added.push({ product, target });
    } else {
      requireSameBytes(row, target);
      const same = isDeepStrictEqual(row.custom, target.custom) && row.yanked_at === null;
      if (!same) changes.changed.push({ product, target });
    }
  }
}

/** What chargers have acted on is never something else later. */
function requireSameBytes(row: Row<'releases'>, target: ReleaseTarget): void {
  const { product, version, hardware, securityVersion } = target.custom;
  const same =
    row.sha256 === target.sha256 &&
    row.length === target.length &&
    row.product === product &&
    row.version === version &&
    row.security_version === securityVersion &&
    isDeepStrictEqual(row.custom.hardware, hardware);
  if (same) return;
  throw new ApiError('VERSION_EXISTS', `${row.product} ${row.version}`, {
    pointer: `/products/${row.product}`,
  });
}

function requireConsistent(product: string, target: ReleaseTarget): void {
  const side = [...target.custom.bundles, ...(target.custom.sbom === null ? [] : [target.custom.sbom])];
  const misplaced = [target, ...side].find(({ path }) => !isBelow(product, path));
  if (misplaced === undefined && target.custom.product === product) return;
  throw new ApiError('TARGET_INCONSISTENT', misplaced?.path ?? `${target.path}: ${target.custom.product}`, {
    pointer: `/products/${product}`,
  });
}

/** The path becomes a key of the blob store and a URL: exactly the product and one file name. */
function isBelow(product: string, path: string): boolean {
  const file = path.slice(product.length + 1);
  return path === targetPath(product, file) && FILE_NAME.test(file);
}

/** A way down that the role does not list could not be taken. Design §3 */
function requireFallbacksListed(product: string, target: ReleaseTarget, candidate: Candidate): void {
  const { targets } = candidate.set.productRole(product);
  for (const fallback of target.custom.fallback) {
    if (fallback.path !== target.path && targets.get(fallback.path)?.sha256 === fallback.sha256) continue;
    throw new ApiError('FALLBACK_UNKNOWN', `${target.path} names ${fallback.path}.`, {
      pointer: `/products/${product}`,
    });
  }
}

/**
 * Whether a release becomes something that a charger could not take before. One that is deprecated, or loses a way down, does not: that
 * must be possible for a release which the policy refuses by now.
 */
function gains(row: Row<'releases'> | undefined, { custom }: ReleaseTarget): boolean {
  if (row === undefined || row.yanked_at !== null) return true;
  const { bundles, sbom, fallback } = row.custom;
  return (
    !isDeepStrictEqual(custom.bundles, bundles) ||
    !isDeepStrictEqual(custom.sbom, sbom) ||
    custom.fallback.some((way) => !fallback.some((before) => isDeepStrictEqual(way, before)))
  );
}

/** Every file is here, as long as it should be; its digest was taken when it was uploaded. */
async function requirePromotable(
  deps: PublishingDeps,
  target: ReleaseTarget,
  promote: SideFile[],
): Promise<void> {
  const { bundles, sbom } = target.custom;
  for (const file of [target, ...bundles, ...(sbom === null ? [] : [sbom])]) {
    if (await requirePresent(deps, file)) promote.push(file);
  }
}

/** A charger would accept the release. */
async function requireVerified(
  deps: PublishingDeps,
  product: string,
  target: ReleaseTarget,
  { policy, documents: { sigstoreRoot } }: Candidate,
  row: Row<'releases'> | undefined,
): Promise<void> {
  const newSbom = !isDeepStrictEqual(target.custom.sbom, row?.custom.sbom);
  const read = (file: SideFile) => readSideFile(deps, file);
  await reviewAttestations({ target, product, policy, sigstoreRoot }, read, newSbom);
}

/** @returns whether it waits in staging; false when the store has it already. */
async function requirePresent(deps: PublishingDeps, file: SideFile): Promise<boolean> {
  const stored = await deps.blobs.stat(targetKey(file.path, file.sha256));
  const length = stored?.length ?? (await stagedLength(deps, file.sha256));
  if (length === undefined) throw new ApiError('UPLOAD_MISSING', `${file.path} (SHA-256 ${file.sha256})`);
  if (length !== file.length) {
    throw new ApiError('UPLOAD_MISMATCH', `${file.path} has ${length} bytes, the role says ${file.length}.`);
  }
  return stored === undefined;
}

async function readSideFile(deps: PublishingDeps, file: SideFile): Promise<Buffer> {
  const key = targetKey(file.path, file.sha256);
  if ((await deps.blobs.stat(key)) !== undefined) return readBlob(deps.blobs, key);
  return collect(readStaged(deps, file.sha256), file.path);
}

function isListed(candidate: Candidate, row: Row<'releases'>): boolean {
  if (candidate.removed.includes(row.product)) return false;
  return candidate.set.productRole(row.product).targets.has(row.path);
}
