/** A release in plain words, for whoever is asked to sign it. */
import type { ReleaseTarget } from '@tidegate/client-sdk/protocol';
import type { CheckedProposal, Proposal, SignatureStatus } from '../repository/index.ts';
import { nameOf } from './keyring.ts';

const SHOWN_NOTES = 400;

export function describeRelease(target: ReleaseTarget, signer: string): string[] {
  const { custom } = target;
  const fallbacks = custom.fallback.map(
    ({ path, expires, auto }) =>
      `  may go back to ${path} until ${expires}${auto ? ', by itself even to a lower security version' : ''}`,
  );
  return [
    `${custom.product} ${custom.version} for ${custom.hardware.join(', ')}, security version ${custom.securityVersion}`,
    `  image ${target.path}, ${target.length} bytes`,
    `  sha256 ${target.sha256}`,
    `  built by ${signer.length === 64 ? `key ${signer.slice(0, 8)}` : signer}, verified`,
    ...(fallbacks.length === 0 ? ['  no way back is signed'] : fallbacks),
    ...(custom.cves.length === 0 ? [] : [`  fixes ${custom.cves.join(', ')}`]),
    ...(custom.notes === '' ? [] : [`  notes: ${printable(custom.notes).slice(0, SHOWN_NOTES)}`]),
  ];
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
  { target, status, adopted }: CheckedProposal,
  holders: ReadonlyMap<string, string>,
): Record<string, unknown> {
  return {
    proposal: file,
    product: proposal.product,
    version: proposal.version,
    path: target.path,
    sha256: target.sha256,
    length: target.length,
    custom: target.custom,
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
  return text.replace(/[^\P{C}\n]/gu, '').replace(/\s+/g, ' ');
}
