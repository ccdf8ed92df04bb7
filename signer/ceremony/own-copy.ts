/** A ceremony beside the documents that its signer has. */
import { type Metadata, same, type WorkingCopy } from '../repository/index.ts';
import type { TrustState } from './authority.ts';
import { CeremonyError, type CeremonyErrorCode } from './errors.ts';
import type { CeremonyFile } from './file.ts';

export function stateOf(copy: WorkingCopy): TrustState {
  return {
    root: copy.root.metadata,
    targets: copy.targets.metadata,
    policy: copy.policyText,
    sigstoreRoot: copy.sigstoreRoot.toString('utf8'),
    products: Object.fromEntries([...copy.products].map(([name, { metadata }]) => [name, metadata])),
  };
}

/**
 * The file starts from exactly what is here.
 * @returns whether everything that it changes is here already.
 * @throws CeremonyError `CEREMONY_STALE`, `CEREMONY_AHEAD`, `CEREMONY_FOREIGN`.
 */
export function compareWithOwn(file: CeremonyFile, own: TrustState | undefined): boolean {
  if (own === undefined) return false;
  if (isFinished(file, own)) return true;
  const { before } = file;
  if (before === undefined)
    throw new CeremonyError('CEREMONY_FOREIGN', 'A first ceremony, and there are documents here');
  const pairs: [string, Metadata, Metadata | undefined][] = [
    ['root', before.root, own.root],
    ['targets', before.targets, own.targets],
    ...Object.entries(before.products).map(
      ([product, role]) => [product, role, own.products[product]] as [string, Metadata, Metadata | undefined],
    ),
  ];
  const refused = pairs.flatMap(([name, theirs, mine]): [CeremonyErrorCode, string][] => {
    const code = compare(theirs, mine);
    return code === undefined
      ? []
      : [[code, `${name} ${theirs.signed.version}, here ${mine?.signed.version ?? 'none'}`]];
  });
  // One that differs in content tells more than one that is only older.
  const worst = (['CEREMONY_FOREIGN', 'CEREMONY_STALE', 'CEREMONY_AHEAD'] as const)
    .map((code) => refused.find(([found]) => found === code))
    .find((found) => found !== undefined);
  if (worst !== undefined) throw new CeremonyError(...worst);
  // A product that only the copy here knows as removed, or only the file: the targets would differ, which was compared.
  return false;
}

function compare(theirs: Metadata, mine: Metadata | undefined): CeremonyErrorCode | undefined {
  if (mine === undefined || theirs.signed.version > mine.signed.version) return 'CEREMONY_AHEAD';
  if (theirs.signed.version < mine.signed.version) return 'CEREMONY_STALE';
  return same(theirs.signed, mine.signed) ? undefined : 'CEREMONY_FOREIGN';
}

function isFinished({ after }: CeremonyFile, own: TrustState): boolean {
  const next: [Metadata | undefined, Metadata | undefined][] = [
    [after.root, own.root],
    [after.targets, own.targets],
    ...Object.entries(after.products).map(
      ([product, role]) => [role, own.products[product]] as [Metadata, Metadata | undefined],
    ),
  ];
  return next.every(
    ([theirs, mine]) => theirs === undefined || (mine !== undefined && same(theirs.signed, mine.signed)),
  );
}
