/** What a role lists. A list of n releases is copied once, not n times: 10,000 are authored in one linear pass. */
import { FILE_NAME, type ReleaseTarget, type SideFile, targetPath } from '@tidegate/client-sdk/protocol';
import { canonicalBytes, parseCustom } from '@tidegate/client-sdk/trust';
import { RepositoryError } from './errors.ts';
import type { Metadata, TargetFile, Targets } from './metadata.ts';

/**
 * Lists a release, or replaces what is said of the same bytes (notes, fallbacks, bundles).
 * @throws RepositoryError `TARGET_PATH`, `CUSTOM_INVALID`, `RELEASE_EXISTS`, `DIGEST_EXISTS`, `FALLBACK_UNKNOWN`.
 */
export function addRelease(
  role: Metadata<Targets>,
  product: string,
  release: ReleaseTarget,
): Metadata<Targets> {
  return addReleases(role, product, [release]);
}

/** Lists several releases, each as `addRelease` does. */
export function addReleases(
  role: Metadata<Targets>,
  product: string,
  releases: readonly ReleaseTarget[],
): Metadata<Targets> {
  const targets = { ...role.signed.targets };
  const pathOfVersion = new Map<string, string>();
  const pathOfDigest = new Map<string, string>();
  for (const [path, target] of Object.entries(targets)) {
    if (target.custom !== undefined) pathOfVersion.set(target.custom.version, path);
    pathOfDigest.set(target.hashes.sha256, path);
  }
  for (const release of releases) {
    checkPaths(product, release);
    checkCustom(product, release);
    const { path, sha256, length, custom } = release;
    const listedPath = pathOfVersion.get(custom.version) ?? path;
    const listed = targets[listedPath];
    if (listedPath !== path || (listed !== undefined && !sameBytes(listed, release))) {
      throw new RepositoryError('RELEASE_EXISTS', `${product} ${custom.version}`);
    }
    const twin = pathOfDigest.get(sha256) ?? path;
    if (twin !== path) throw new RepositoryError('DIGEST_EXISTS', `${product} ${custom.version} is ${twin}`);
    targets[path] = { length, hashes: { sha256 }, custom };
    pathOfVersion.set(custom.version, path);
    pathOfDigest.set(sha256, path);
  }
  for (const { path, custom } of releases) checkFallbacks(targets, path, custom.fallback);
  return { signed: { ...role.signed, targets }, signatures: [] };
}

/** Lists a file of the top-level role (`trust/…`), in the place of its earlier version. */
export function addTarget(
  role: Metadata<Targets>,
  path: string,
  file: { sha256: string; length: number },
): Metadata<Targets> {
  const targets = {
    ...role.signed.targets,
    [path]: { length: file.length, hashes: { sha256: file.sha256 } },
  };
  return { signed: { ...role.signed, targets }, signatures: [] };
}

/** The releases of a product role, as the charger sees them. */
export function releasesOf(role: Metadata<Targets>): ReleaseTarget[] {
  return Object.entries(role.signed.targets).flatMap(([path, { length, hashes, custom }]) =>
    custom === undefined ? [] : [{ path, sha256: hashes.sha256, length, custom }],
  );
}

function checkPaths(product: string, { path, custom }: ReleaseTarget): void {
  const files: Pick<SideFile, 'path'>[] = [{ path }, ...custom.bundles];
  if (custom.sbom !== null) files.push(custom.sbom);
  for (const file of files) {
    const name = file.path.slice(product.length + 1);
    if (file.path !== targetPath(product, name) || !FILE_NAME.test(name)) {
      throw new RepositoryError('TARGET_PATH', file.path);
    }
  }
}

function checkCustom(product: string, { path, custom }: ReleaseTarget): void {
  try {
    parseCustom(custom);
  } catch (cause) {
    throw new RepositoryError('CUSTOM_INVALID', path, { cause });
  }
  if (custom.product !== product)
    throw new RepositoryError('CUSTOM_INVALID', `${path} is for ${custom.product}`);
}

function checkFallbacks(
  targets: Record<string, TargetFile>,
  path: string,
  fallbacks: ReleaseTarget['custom']['fallback'],
): void {
  for (const fallback of fallbacks) {
    const listed = targets[fallback.path];
    if (fallback.path === path || listed?.hashes.sha256 !== fallback.sha256) {
      throw new RepositoryError('FALLBACK_UNKNOWN', fallback.path);
    }
  }
}

function sameBytes(listed: TargetFile, release: ReleaseTarget): boolean {
  return listed.hashes.sha256 === release.sha256 && listed.length === release.length;
}

/** Whether two values mean the same, whatever the order of their fields. */
export function same(a: unknown, b: unknown): boolean {
  return canonicalBytes(a).equals(canonicalBytes(b));
}
