/** A proposal in plain words, for whoever is asked to sign it. What it says follows from the change that the role was compared with. */
import type { Fallback, ReleaseTarget } from '@tidegate/client-sdk/protocol';
import {
  type CheckedProposal,
  fallingBackTo,
  type Metadata,
  type Proposal,
  type SignatureStatus,
  type Targets,
  versionOf,
} from '../repository/index.ts';
import { nameOf } from './keyring.ts';

const SHOWN = 400;

/** @param current the newest role of the product. */
export function describeProposal(
  { product }: Proposal,
  checked: CheckedProposal,
  current: Metadata<Targets> | undefined,
): string[] {
  const { change, target, before } = checked;
  const name = `${product} ${versionOf(change) ?? ''}`.trimEnd();
  switch (change.kind) {
    case 'release':
      return describeRelease(change.target, checked);
    case 'attest':
      return [
        `${name}: the attestations of this release change, and nothing else`,
        ...imageLines(target),
        ...change.add.map(
          ({ path }, i) => `  adds ${path}, by ${builder(checked.addedBy[i] ?? '')}, verified`,
        ),
        ...change.remove.map((sha256) => `  drops the bundle ${pathOf(before, sha256) ?? sha256}`),
        ...(change.sbom === undefined ? [] : [`  its SBOM is ${change.sbom.path}, verified`]),
        checked.verified === null
          ? '  its other bundles are not here; the service verifies them together'
          : `  attested by ${checked.verified.signers.map(builder).join(', ')}, verified`,
      ];
    case 'amend':
      return [
        `${name}: what is said of this release changes, and nothing else`,
        ...imageLines(target),
        ...(change.fallback === undefined
          ? []
          : [
              ...change.fallback.map(way),
              ...lost(before?.custom.fallback ?? [], change.fallback),
              ...(change.fallback.length === 0 ? ['  no way back is signed'] : []),
            ]),
        ...(change.cves === undefined
          ? []
          : [`  fixes ${printable(change.cves.join(', ')) || 'nothing named'}`]),
        ...(change.notes === undefined ? [] : [`  notes: ${printable(change.notes)}`]),
      ];
    case 'deprecate':
      return change.reason === null
        ? [`${name} is no longer deprecated: new rollouts may be planned`, ...imageLines(target)]
        : [
            `${name} is deprecated: no new rollout of it can be planned`,
            ...imageLines(target),
            `  because: ${printable(change.reason)}`,
            '  it stays valid, and a way back for other releases',
          ];
    case 'yank':
      return [
        `${name} is yanked: the product role lists it no more`,
        ...imageLines(before),
        `  because: ${printable(change.reason)}`,
        '  chargers that run it keep running; none installs it any more',
        ...(current === undefined || before === null
          ? []
          : fallingBackTo(current, before.path).map(
              ({ custom }) => `  ${custom.version} can no longer go back to it`,
            )),
      ];
    case 'renew':
      return [`${product}: its role lives on as it is; nothing but version and expiry changes`];
  }
}

function describeRelease(target: ReleaseTarget, { verified }: CheckedProposal): string[] {
  const { custom } = target;
  return [
    `${custom.product} ${custom.version} for ${custom.hardware.join(', ')}, security version ${custom.securityVersion}`,
    ...imageLines(target),
    `  built by ${(verified?.signers ?? []).map(builder).join(' and ')}, verified`,
    ...(custom.sbom === null ? [] : ['  with an attested SBOM, verified']),
    ...(custom.fallback.length === 0 ? ['  no way back is signed'] : custom.fallback.map(way)),
    ...(custom.cves.length === 0 ? [] : [`  fixes ${printable(custom.cves.join(', '))}`]),
    ...(custom.notes === '' ? [] : [`  notes: ${printable(custom.notes)}`]),
    ...(custom.deprecated === undefined ? [] : [`  deprecated: ${printable(custom.deprecated)}`]),
  ];
}

function imageLines(target: ReleaseTarget | null): string[] {
  if (target === null) return [];
  return [`  image ${target.path}, ${target.length} bytes`, `  sha256 ${target.sha256}`];
}

function way({ path, expires, auto }: Fallback): string {
  return `  may go back to ${path} until ${expires}${auto ? ', by itself even to a lower security version' : ''}`;
}

function lost(before: Fallback[], after: Fallback[]): string[] {
  const kept = new Set(after.map(({ path }) => path));
  return before.filter(({ path }) => !kept.has(path)).map(({ path }) => `  no longer back to ${path}`);
}

function pathOf(release: ReleaseTarget | null, sha256: string): string | undefined {
  return release?.custom.bundles.find((file) => file.sha256 === sha256)?.path;
}

function builder(signer: string): string {
  return signer.length === 64 ? `key ${signer.slice(0, 8)}` : signer;
}

export function describeSignatures(
  proposal: Proposal,
  status: SignatureStatus,
  holders: ReadonlyMap<string, string>,
): string[] {
  const names = (keyIds: string[]) => keyIds.map((keyId) => nameOf(keyId, holders)).join(', ');
  const { version, expires } = proposal.role.signed;
  return [
    `  role version ${version}, valid until ${expires}`,
    `  signed by ${names(status.signed) || 'nobody'}: ${status.signed.length} of ${status.threshold}`,
    ...(status.complete ? [] : [`  may still sign: ${names(status.missing)}`]),
  ];
}

/** What a machine is told of a proposal. */
export function proposalJson(
  file: string,
  proposal: Proposal,
  { change, target, verified, status, adopted }: CheckedProposal,
  holders: ReadonlyMap<string, string>,
): Record<string, unknown> {
  const release = target && {
    path: target.path,
    sha256: target.sha256,
    length: target.length,
    custom: target.custom,
  };
  return {
    proposal: file,
    kind: change.kind,
    product: proposal.product,
    version: versionOf(change) ?? null,
    change,
    ...release,
    verified: verified !== null,
    roleVersion: proposal.role.signed.version,
    expires: proposal.role.signed.expires,
    threshold: status.threshold,
    signed: status.signed.map((keyId) => ({ keyId, holder: holders.get(keyId) ?? null })),
    missing: status.missing.map((keyId) => ({ keyId, holder: holders.get(keyId) ?? null })),
    complete: status.complete,
    adopted,
  };
}

/** Somebody else's text must not move the cursor of the person who decides. */
function printable(text: string): string {
  return text
    .replace(/[^\P{C}\n]/gu, '')
    .replace(/\s+/g, ' ')
    .slice(0, SHOWN);
}
