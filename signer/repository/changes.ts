/** What may be done to a product role, one kind at a time, each as a pure edit: a proposal is exactly one of these and nothing besides. */
import type { Fallback, ReleaseTarget, SideFile } from '@tidegate/client-sdk/protocol';
import { RepositoryError } from './errors.ts';
import type { Metadata, Targets } from './metadata.ts';
import { addRelease, releasesOf, same } from './releases.ts';

/** A release that the role did not list. */
export interface NewRelease {
  kind: 'release';
  target: ReleaseTarget;
}

/** Bundles of a listed release: those to add, those to drop (by SHA-256), and another SBOM. */
export interface Attest {
  kind: 'attest';
  version: string;
  add: SideFile[];
  remove: string[];
  /** Takes the place of the one before. */
  sbom?: SideFile;
}

/** What the engineers say of a listed release; what is left out stays. */
export interface Amend {
  kind: 'amend';
  version: string;
  fallback?: Fallback[];
  notes?: string;
  cves?: string[];
}

/** No new rollout of it; null takes that back. */
export interface Deprecate {
  kind: 'deprecate';
  version: string;
  reason: string | null;
}

/** The role lists it no more, nor does any release of it fall back to it. */
export interface Yank {
  kind: 'yank';
  version: string;
  /** For those who cosign, and for the audit log. The role itself does not say it. */
  reason: string;
}

/** The next version with a full life, and nothing else. */
export interface Renew {
  kind: 'renew';
}

export type Change = NewRelease | Attest | Amend | Deprecate | Yank | Renew;
export type ChangeKind = Change['kind'];

/** Version of the firmware that the change is about; undefined for one about the whole role. */
export function versionOf(change: Change): string | undefined {
  if (change.kind === 'renew') return undefined;
  return change.kind === 'release' ? change.target.custom.version : change.version;
}

/**
 * The role with the change made, unsigned and of the same version; pure, so that whoever cosigns makes it again and compares.
 * @throws RepositoryError `RELEASE_EXISTS`, `RELEASE_UNKNOWN`, `BUNDLE_LISTED`, `BUNDLE_UNKNOWN`, `NOTHING_CHANGES`, and as `addRelease`.
 */
export function applyChange(role: Metadata<Targets>, product: string, change: Change): Metadata<Targets> {
  switch (change.kind) {
    case 'release':
      return list(role, product, change);
    case 'attest':
      return edit(role, product, change, attested);
    case 'amend':
      return edit(role, product, change, amended);
    case 'deprecate':
      return edit(role, product, change, deprecated);
    case 'yank':
      return drop(role, product, change);
    case 'renew':
      return { signed: role.signed, signatures: [] };
  }
}

/** @throws RepositoryError `RELEASE_UNKNOWN`. */
export function listedRelease(role: Metadata<Targets>, product: string, version: string): ReleaseTarget {
  const found = releasesOf(role).find(({ custom }) => custom.version === version);
  if (found === undefined) throw new RepositoryError('RELEASE_UNKNOWN', `${product} ${version}`);
  return found;
}

/** Releases that name this path as a way back. */
export function fallingBackTo(role: Metadata<Targets>, path: string): ReleaseTarget[] {
  return releasesOf(role).filter(({ custom }) => custom.fallback.some((way) => way.path === path));
}

function list(role: Metadata<Targets>, product: string, { target }: NewRelease): Metadata<Targets> {
  const { version } = target.custom;
  if (releasesOf(role).some(({ custom }) => custom.version === version)) {
    throw new RepositoryError('RELEASE_EXISTS', `${product} ${version}`);
  }
  return addRelease(role, product, target);
}

type Custom = ReleaseTarget['custom'];

function edit<C extends Attest | Amend | Deprecate>(
  role: Metadata<Targets>,
  product: string,
  change: C,
  edited: (custom: Custom, change: C) => Custom,
): Metadata<Targets> {
  const target = listedRelease(role, product, change.version);
  const custom = edited(target.custom, change);
  if (same(custom, target.custom)) {
    throw new RepositoryError('NOTHING_CHANGES', `${product} ${change.version}`);
  }
  return addRelease(role, product, { ...target, custom });
}

function attested(custom: Custom, { add, remove, sbom }: Attest): Custom {
  const listed = new Set(custom.bundles.map(({ sha256 }) => sha256));
  const unknown = remove.find((sha256) => !listed.has(sha256));
  if (unknown !== undefined) throw new RepositoryError('BUNDLE_UNKNOWN', unknown);
  const digests = add.map(({ sha256 }) => sha256);
  const twice = digests.find((sha256, i) => listed.has(sha256) || digests.indexOf(sha256) !== i);
  if (twice !== undefined) throw new RepositoryError('BUNDLE_LISTED', twice);
  const kept = custom.bundles.filter(({ sha256 }) => !remove.includes(sha256));
  return { ...custom, bundles: [...kept, ...add], ...(sbom === undefined ? {} : { sbom }) };
}

function amended(custom: Custom, { fallback, notes, cves }: Amend): Custom {
  return {
    ...custom,
    ...(fallback === undefined ? {} : { fallback }),
    ...(notes === undefined ? {} : { notes }),
    ...(cves === undefined ? {} : { cves }),
  };
}

function deprecated(before: Custom, { reason }: Deprecate): Custom {
  const custom = { ...before };
  delete custom.deprecated;
  return reason === null ? custom : { ...custom, deprecated: reason };
}

function drop(role: Metadata<Targets>, product: string, { version }: Yank): Metadata<Targets> {
  const { path } = listedRelease(role, product, version);
  const targets = { ...role.signed.targets };
  delete targets[path];
  for (const { path: other, custom } of fallingBackTo(role, path)) {
    const entry = targets[other];
    if (entry === undefined) continue;
    const fallback = custom.fallback.filter((way) => way.path !== path);
    targets[other] = { ...entry, custom: { ...custom, fallback } };
  }
  return { signed: { ...role.signed, targets }, signatures: [] };
}
