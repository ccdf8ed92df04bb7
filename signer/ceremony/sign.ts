/** One person's signature, under every document of a ceremony that their key has a part in. */
import type { Signer } from '../keys/index.ts';
import { addSignature, type Metadata } from '../repository/index.ts';
import { type CheckedCeremony } from './check.ts';
import { CeremonyError } from './errors.ts';
import type { CeremonyFile } from './file.ts';
import { type DocumentStatus, signersOf } from './status.ts';

export interface SignedCeremony {
  file: CeremonyFile;
  /** Names of the documents that carry a new signature. */
  signed: string[];
}

/**
 * A signature by this key that is no good is replaced.
 * @throws CeremonyError `KEY_HAS_NO_PART`, `ALREADY_SIGNED`, `CEREMONY_FINISHED`; RepositoryError, KeyError.
 */
export async function signCeremony(checked: CheckedCeremony, signer: Signer): Promise<SignedCeremony> {
  if (checked.finished) throw new CeremonyError('CEREMONY_FINISHED', 'Ceremony');
  const { keyId } = signer;
  const mine = checked.documents.filter((document) => signersOf(document).keyids.includes(keyId));
  if (mine.length === 0) throw new CeremonyError('KEY_HAS_NO_PART', `Key ${keyId.slice(0, 8)}`);
  const open = mine.filter((document) => !hasSigned(document, keyId));
  if (open.length === 0) throw new CeremonyError('ALREADY_SIGNED', `Key ${keyId.slice(0, 8)}`);
  let { file } = checked;
  for (const document of open) {
    const others = document.metadata.signatures.filter(({ keyid }) => keyid !== keyId);
    const signed = await addSignature(
      { signed: document.metadata.signed, signatures: others },
      signersOf(document),
      signer,
    );
    file = withDocument(file, document.name, signed);
  }
  return { file, signed: open.map(({ name }) => name) };
}

/** The signatures of several copies that people have signed apart, in one. @throws CeremonyError `COPIES_DIFFER`. */
export function mergeCopies(first: CeremonyFile, others: readonly CeremonyFile[]): CeremonyFile {
  return others.reduce(mergeTwo, first);
}

function mergeTwo(one: CeremonyFile, other: CeremonyFile): CeremonyFile {
  if (contentOf(one) !== contentOf(other)) throw new CeremonyError('COPIES_DIFFER', 'Ceremony');
  return everyDocument(one).reduce((file, [name, metadata]) => {
    const theirs = everyDocument(other).find(([same]) => same === name)?.[1].signatures ?? [];
    const known = new Set(metadata.signatures.map(({ keyid, sig }) => `${keyid} ${sig}`));
    const more = theirs.filter(({ keyid, sig }) => !known.has(`${keyid} ${sig}`));
    const signatures = [...metadata.signatures, ...more];
    return withDocument(file, name, { signed: metadata.signed, signatures });
  }, one);
}

function contentOf(file: CeremonyFile): string {
  const documents = everyDocument(file).map(([name, { signed }]) => [name, signed]);
  const { before, after, reason, hardware } = file;
  return JSON.stringify([before, after.policy, after.sigstoreRoot, reason, hardware, documents]);
}

function everyDocument({ after }: CeremonyFile): [string, Metadata][] {
  return [
    ...(after.root === undefined ? [] : [['root', after.root] as [string, Metadata]]),
    ...(after.targets === undefined ? [] : [['targets', after.targets] as [string, Metadata]]),
    ...Object.entries(after.products),
  ];
}

function withDocument(file: CeremonyFile, name: string, metadata: Metadata): CeremonyFile {
  const after =
    name === 'root' || name === 'targets'
      ? { ...file.after, [name]: metadata }
      : { ...file.after, products: { ...file.after.products, [name]: metadata } };
  return { ...file, after: after as CeremonyFile['after'] };
}

function hasSigned({ quorums, faults }: DocumentStatus, keyId: string): boolean {
  const faulty = faults.some((fault) => fault.keyId === keyId);
  return !faulty && quorums.some(({ status }) => status.signed.includes(keyId));
}
