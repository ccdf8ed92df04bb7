/** A ceremony in plain words, for somebody who is asked to sign it and has never heard of TUF. */
import { type Authority, nameOf, productsIn } from './authority.ts';
import { type CheckedCeremony, fingerprint } from './check.ts';
import { type Difference, digits, roleWords, signersWords } from './differences.ts';
import { CEREMONY_ERRORS } from './errors.ts';
import { builderId } from './policy-changes.ts';
import type { DocumentStatus, Quorum } from './status.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** @param now milliseconds since the epoch. */
export function describeCeremony(checked: CheckedCeremony, now: number): string[] {
  const { file, before, compared, finished } = checked;
  return [
    file.reason === '' ? 'Ceremony' : `Ceremony: "${printable(file.reason)}"`,
    ...(before === undefined
      ? ['A new organisation. Everything below is new.', ...everybody(checked)]
      : ['What changes:', ...changes(checked.differences)]),
    ...warnings(checked),
    ...untimedWarnings(checked),
    'What is signed:',
    ...checked.documents.flatMap((document) => describeDocument(checked, document, now)),
    ...origin(checked, compared, finished),
  ].map(printable);
}

/** Who may do what, at a first ceremony. */
function everybody({ after, differences }: CheckedCeremony): string[] {
  return [
    ...roleLines(after).map((line) => `  ${line}`),
    '  their keys; have each person read out theirs',
    ...[...after.people].map(([keyId, name]) => `    - ${name}: ${digits(keyId)}`),
    ...changes(differences.filter(({ about }) => !after.roles.has(about))),
  ];
}

/** Who may do what, a line for each role. */
export function roleLines(authority: Authority): string[] {
  return [...authority.roles].map(
    ([role, keys]) => `${role} (${roleWords(role)}): ${signersWords(authority, keys)}`,
  );
}

function changes(differences: Difference[]): string[] {
  if (differences.length === 0) return ['  nothing but the dates: what is signed is valid for longer'];
  const abouts = [...new Set(differences.map(({ about }) => about))];
  return abouts.flatMap((about) => [
    `  ${about}${HEADS[about] === undefined ? '' : ` (${HEADS[about]})`}`,
    ...differences.filter((one) => one.about === about).map(({ text }) => `    - ${text}`),
  ]);
}

const HEADS: Record<string, string> = {
  root: roleWords('root'),
  targets: roleWords('targets'),
  snapshot: roleWords('snapshot'),
  timestamp: roleWords('timestamp'),
  directors: 'the key with which the service tells chargers when',
  policy: 'the rules that chargers go by',
  'deny list': 'refused whatever else is signed',
  'sigstore root': 'who vouches for builds that have no key of their own',
};

function warnings({ after }: CheckedCeremony): string[] {
  const offline = ['root', 'targets', ...productsIn(after)];
  return offline.flatMap((role) => {
    const { keyids, threshold } = after.roles.get(role) ?? { keyids: [], threshold: 0 };
    if (threshold === 1) return [`  careful: one person alone signs ${role}`];
    if (keyids.length > threshold) return [];
    const way = role === 'root' ? ', and nobody can replace it' : '';
    return [`  careful: ${role} has nobody to spare; with one key lost it cannot be signed any more${way}`];
  });
}

/** What a builder made before it retired counts by its timestamp, which most builds with a key have not. */
function untimedWarnings({ before, after }: CheckedCeremony): string[] {
  return Object.entries(after.policy.products).flatMap(([product, { builders, timestamps }]) => {
    const active = before?.policy.products[product]?.builders.filter(({ state }) => state === 'active') ?? [];
    const was = new Set(active.map(builderId));
    const retires = builders.some((builder) => builder.state === 'retired' && was.has(builderId(builder)));
    if (!retires || timestamps > 0) return [];
    return [
      `  careful: ${product} asks for no timestamps; what a retired builder made without one counts no more. First let the next builder count, and attest again with it: tidegate reattest`,
    ];
  });
}

function describeDocument(checked: CheckedCeremony, document: DocumentStatus, now: number): string[] {
  const { name, metadata, quorums, faults } = document;
  const { version, expires } = metadata.signed;
  const days = Math.max(0, Math.round((Date.parse(expires) - now) / DAY_MS));
  return [
    `  ${name} version ${version}, valid until ${expires} (${days} days)`,
    ...quorums.map((quorum) => `    ${describeQuorum(checked, quorum, quorums.length > 1)}`),
    ...faults.map(({ code, who }) => `    ${code}: ${who}. ${CEREMONY_ERRORS[code]}`),
  ];
}

function describeQuorum(checked: CheckedCeremony, quorum: Quorum, several: boolean): string {
  const { who, status } = quorum;
  const { threshold, signed, missing, complete } = status;
  const names = (keyIds: string[]) => keyIds.map((keyId) => nameIn(checked, quorum, keyId)).join(', ');
  const group = !several ? '' : who === 'today' ? ' of the holders until now' : ' of the new holders';
  const have = `signed by ${names(signed) || 'nobody'}`;
  if (complete) return `${have}: enough, ${threshold} needed${group}`;
  return `${have}: ${signed.length} of ${threshold}${group}; may still sign: ${names(missing)}`;
}

function nameIn({ before, after }: CheckedCeremony, { who }: Quorum, keyId: string): string {
  const people = (who === 'today' ? before : after)?.people ?? after.people;
  return nameOf({ people }, keyId);
}

function origin({ file }: CheckedCeremony, compared: boolean, finished: boolean): string[] {
  if (finished) return ['All of it is in the documents here already.'];
  const root = file.before?.root ?? file.after.root;
  if (root === undefined) return [];
  const word = fingerprint(root);
  if (compared) return ['It starts from the very documents that are here.'];
  return [
    file.before === undefined
      ? 'This root is the beginning of all trust. Compare its fingerprint with the others, over the phone:'
      : 'There are no documents here to compare it with. Compare the fingerprint of the root that it starts from, over the phone:',
    `  ${word}`,
  ];
}

/** What a machine is told. */
export function ceremonyJson(checked: CheckedCeremony): Record<string, unknown> {
  const { file, documents, differences, compared, finished, complete } = checked;
  const root = file.before?.root ?? file.after.root;
  return {
    reason: file.reason,
    first: file.before === undefined,
    differences,
    documents: documents.map(({ name, metadata, quorums, faults, complete: signed }) => ({
      name,
      version: metadata.signed.version,
      expires: metadata.signed.expires,
      complete: signed && faults.length === 0,
      quorums: quorums.map((quorum) => ({
        who: quorum.who,
        threshold: quorum.status.threshold,
        signed: people(checked, quorum, quorum.status.signed),
        missing: people(checked, quorum, quorum.status.missing),
      })),
      problems: faults.map(({ code, keyId, who }) => ({ code, keyId, who })),
    })),
    fingerprint: root === undefined ? null : fingerprint(root),
    compared,
    complete,
    finished,
  };
}

function people(checked: CheckedCeremony, quorum: Quorum, keyIds: string[]) {
  return keyIds.map((keyId) => ({ keyId, name: nameIn(checked, quorum, keyId) }));
}

/** Somebody else's text must not move the cursor of the person who decides. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '');
}
