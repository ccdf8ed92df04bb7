/** Reads a proposal that somebody has passed on: as far as its shape, which everything after it relies on. */
import { SHA256 } from '@tidegate/client-sdk/protocol';
import { parseCustom } from '@tidegate/client-sdk/trust';
import type { Change, ChangeKind } from './changes.ts';
import { RepositoryError } from './errors.ts';
import type { Targets } from './metadata.ts';
import type { Proposal } from './proposal.ts';

type Loose = Record<string, unknown> | null | undefined;

/** @throws RepositoryError `PROPOSAL_MALFORMED`. */
export function parseProposal(bytes: Uint8Array): Proposal {
  try {
    const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Loose;
    if (isProposal(value)) return value;
  } catch (cause) {
    throw new RepositoryError('PROPOSAL_MALFORMED', 'Proposal', { cause });
  }
  throw new RepositoryError('PROPOSAL_MALFORMED', 'Proposal');
}

const text = (field: unknown): field is string => typeof field === 'string';
const texts = (field: unknown): field is string[] => Array.isArray(field) && field.every(text);
const orAbsent = (check: (field: unknown) => boolean) => (field: unknown) =>
  field === undefined || check(field);

function isProposal(value: unknown): value is Proposal {
  const { _type, product, change, imageFile, files, role } = (value ?? {}) as Partial<Proposal>;
  return (
    _type === 'tidegate-proposal' &&
    text(product) &&
    isChange(change) &&
    orAbsent(text)(imageFile) &&
    texts(files) &&
    role?.signed?._type === 'targets' &&
    Number.isSafeInteger(role.signed.version) &&
    text(role.signed.expires) &&
    isTargets(role.signed.targets) &&
    Array.isArray(role.signatures) &&
    role.signatures.every((signature) => text(signature?.keyid) && text(signature.sig))
  );
}

/** No more than these members in each: what a cosigner is not shown is not there. */
const CHANGES: Record<ChangeKind, Record<string, (field: unknown) => boolean>> = {
  release: { target: isRelease },
  attest: { version: text, add: isSideFiles, remove: texts, sbom: orAbsent(isSideFile) },
  amend: {
    version: text,
    fallback: orAbsent(isFallbacks),
    notes: orAbsent(text),
    cves: orAbsent(texts),
  },
  deprecate: { version: text, reason: (field) => field === null || text(field) },
  yank: { version: text, reason: text },
  renew: {},
};

function isChange(value: unknown): value is Change {
  const { kind, ...fields } = (value ?? {}) as { kind?: ChangeKind } & Record<string, unknown>;
  if (kind === undefined || !Object.hasOwn(CHANGES, kind)) return false;
  const checks = CHANGES[kind];
  return (
    Object.keys(fields).every((name) => Object.hasOwn(checks, name)) &&
    Object.entries(checks).every(([name, check]) => check(fields[name]))
  );
}

function isRelease(value: unknown): boolean {
  const { path, sha256, length, custom } = (value ?? {}) as Record<string, unknown>;
  if (!text(path) || !isDigest(sha256) || !Number.isSafeInteger(length)) return false;
  parseCustom(custom);
  return true;
}

function isSideFiles(value: unknown): boolean {
  return Array.isArray(value) && value.every(isSideFile);
}

function isSideFile(value: unknown): boolean {
  const { path, sha256, length } = (value ?? {}) as Record<string, unknown>;
  return text(path) && isDigest(sha256) && Number.isSafeInteger(length);
}

function isFallbacks(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.every((way: Loose) => text(way?.['path']) && isDigest(way['sha256']) && text(way['expires']))
  );
}

function isTargets(targets: unknown): boolean {
  if (typeof targets !== 'object' || targets === null) return false;
  return Object.values(targets as Record<string, Partial<Targets['targets'][string]> | null>).every(
    (target) => isDigest(target?.hashes?.sha256) && Number.isSafeInteger(target?.length),
  );
}

function isDigest(value: unknown): boolean {
  return text(value) && SHA256.test(value);
}
