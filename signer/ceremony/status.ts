/** Who has signed what, who is missing, and which signatures are no good. */
import { validSigners } from '@tidegate/client-sdk/trust';
import {
  type Metadata,
  type Role,
  same,
  signatureStatus,
  type SignatureStatus,
} from '../repository/index.ts';
import { type Authority, nameOf, productsIn, quorumOf } from './authority.ts';
import type { CeremonyErrorCode } from './errors.ts';
import type { CeremonyFile } from './file.ts';

export type SignatureFault = Extract<
  CeremonyErrorCode,
  'SIGNATURE_WRONG' | 'SIGNATURE_DOUBLE' | 'SIGNATURE_STRANGER'
>;

/** A group of people of whom so many must sign a document. */
export interface Quorum {
  /** Who they are: the root's holders of today, or those of the new document. */
  who: 'today' | 'new';
  role: Role;
  status: SignatureStatus;
}

export interface DocumentStatus {
  /** `root`, `targets` or a product. */
  name: string;
  metadata: Metadata;
  /** All of them must be met: a root is signed by the old quorum and by the new. TUF 5.3.4 */
  quorums: Quorum[];
  faults: { code: SignatureFault; keyId: string; who: string }[];
  complete: boolean;
}

export function documentsOf(
  file: CeremonyFile,
  before: Authority | undefined,
  after: Authority,
): DocumentStatus[] {
  const { root, targets, products } = file.after;
  const names = (keyId: string) => nameOf(after.people.has(keyId) ? after : (before ?? after), keyId);
  const documents: DocumentStatus[] = [];
  if (root !== undefined) {
    const now = quorumOf(after, 'root');
    const old = before === undefined ? undefined : quorumOf(before, 'root');
    const unchanged = old === undefined || same(rolePart(old), rolePart(now));
    documents.push(
      statusOf(
        'root',
        root,
        unchanged
          ? [['new', now]]
          : [
              ['today', old],
              ['new', now],
            ],
        names,
      ),
    );
  }
  if (targets !== undefined) {
    documents.push(statusOf('targets', targets, [['new', quorumOf(after, 'targets')]], names));
  }
  for (const product of productsIn(after)) {
    const role = products[product];
    if (role === undefined) continue;
    documents.push(statusOf(product, role, [['new', quorumOf(after, product)]], names));
  }
  return documents;
}

/** Everyone who may sign the document, whichever of its quorums they are of. */
export function signersOf({ name, quorums }: Pick<DocumentStatus, 'name' | 'quorums'>): Role {
  return {
    name,
    threshold: 1,
    keyids: [...new Set(quorums.flatMap(({ role }) => role.keyids))],
    keys: new Map(quorums.flatMap(({ role }) => [...role.keys])),
  };
}

function rolePart({ keyids, threshold }: Role) {
  return { keyids: [...keyids].sort(), threshold };
}

function statusOf(
  name: string,
  metadata: Metadata,
  roles: ['today' | 'new', Role][],
  names: (keyId: string) => string,
): DocumentStatus {
  const quorums = roles.map(([who, role]) => ({ who, role, status: signatureStatus(metadata, role) }));
  const faults = faultsOf(metadata, signersOf({ name, quorums })).map((fault) => ({
    ...fault,
    who: names(fault.keyId),
  }));
  return { name, metadata, quorums, faults, complete: quorums.every(({ status }) => status.complete) };
}

function faultsOf(metadata: Metadata, signers: Role): { code: SignatureFault; keyId: string }[] {
  const seen = new Set<string>();
  return metadata.signatures.flatMap((signature): { code: SignatureFault; keyId: string }[] => {
    const { keyid: keyId } = signature;
    const twice = seen.has(keyId);
    seen.add(keyId);
    // TUF 4.2: a key id is there once; a charger refuses the whole document otherwise.
    if (twice) return [{ code: 'SIGNATURE_DOUBLE', keyId }];
    if (!signers.keyids.includes(keyId)) return [{ code: 'SIGNATURE_STRANGER', keyId }];
    const alone = { signed: metadata.signed, signatures: [signature] };
    const valid = validSigners(alone, signers.keys, signers.keyids).length === 1;
    return valid ? [] : [{ code: 'SIGNATURE_WRONG', keyId }];
  });
}
