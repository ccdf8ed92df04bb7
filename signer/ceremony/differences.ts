/** What becomes different, in plain words. Everything that an authority holds is compared, so that nothing changes unsaid. */
import { createHash } from 'node:crypto';
import type { Builder, DirectorKey, ProductPolicy, TrustPolicy } from '@tidegate/client-sdk/protocol';
import { canonicalBytes } from '@tidegate/client-sdk/trust';
import type { RoleKeys } from '../repository/index.ts';
import { type Authority, isTopLevel, nameOf } from './authority.ts';
import { builderId, POLICY_FIELDS } from './policy-changes.ts';

export interface Difference {
  /** `root`, `targets`, `snapshot`, `timestamp`, a product, or `policy`, `directors`, `deny list`, `sigstore root`. */
  about: string;
  text: string;
}

/** What each role may do, for somebody who has never heard of it. */
export function roleWords(role: string): string {
  switch (role) {
    case 'root':
      return 'decides who holds every key, its own included';
    case 'targets':
      return 'decides which products there are, who signs for them, and the rules that chargers go by';
    case 'snapshot':
    case 'timestamp':
      return "the service's own key, which says what is newest";
    default:
      return "signs this product's releases";
  }
}

/** @param before undefined at the very first ceremony: everything is new. */
export function differencesOf(before: Authority | undefined, after: Authority): Difference[] {
  return [
    ...roleDifferences(before, after),
    ...nameDifferences(before, after),
    ...policyDifferences(before?.policy, after.policy),
    ...sigstoreDifference(before?.sigstoreRoot, after.sigstoreRoot),
  ];
}

function roleDifferences(before: Authority | undefined, after: Authority): Difference[] {
  const names = new Set([...(before?.roles.keys() ?? []), ...after.roles.keys()]);
  return [...names].flatMap((about) => {
    const old = before?.roles.get(about);
    const now = after.roles.get(about);
    const say = (text: string): Difference => ({ about, text });
    if (now === undefined) {
      return [
        say('the product is removed: nothing is signed for it any more, and its chargers get no update'),
      ];
    }
    if (old === undefined)
      return [say(`new: ${signersWords(after, now)} ${isTopLevel(about) ? 'sign' : 'sign its releases'}`)];
    const gone = old.keyids.filter((keyId) => !now.keyids.includes(keyId));
    const come = now.keyids.filter((keyId) => !old.keyids.includes(keyId));
    const [was, is] = [signersWords(before ?? after, old), signersWords(after, now)];
    const online = about === 'snapshot' || about === 'timestamp';
    return [
      ...gone.map((keyId) => say(`${keyWords(before ?? after, keyId)} no longer counts`)),
      ...come.map((keyId) =>
        say(
          `${nameOf(after, keyId)}'s key ${digits(keyId)} counts from now on; have its holder read that out`,
        ),
      ),
      // The service is one signer, however many keys it has.
      ...(was === is || online ? [] : [say(`${is} must sign (before: ${was})`)]),
    ];
  });
}

/** Enough of a new key's id that nobody can make another one with the same, in groups to read out. */
export function digits(keyId: string): string {
  return (keyId.slice(0, 20).match(/.{4}/g) ?? []).join(' ');
}

function keyWords(authority: Authority, keyId: string, show = (id: string) => id.slice(0, 8)): string {
  const name = authority.people.get(keyId);
  return name === undefined ? `key ${show(keyId)}` : `${name}'s key ${show(keyId)}`;
}

/** "any 2 of ann, ben, cat" */
export function signersWords(authority: Authority, { keyids, threshold }: RoleKeys): string {
  const names = keyids.map((keyId) => nameOf(authority, keyId)).join(', ');
  if (keyids.length === threshold)
    return keyids.length === 1 ? `${names} alone` : `all ${threshold} of ${names}`;
  return `any ${threshold} of ${names}`;
}

/** A key that stays where it is and is somebody else's from now on. */
function nameDifferences(before: Authority | undefined, after: Authority): Difference[] {
  return [...after.keys.keys()].flatMap((keyId) => {
    if (before?.keys.has(keyId) !== true) return [];
    const [old, now] = [before.people.get(keyId), after.people.get(keyId)];
    if (old === now) return [];
    const about = [...after.roles].find(([, { keyids }]) => keyids.includes(keyId))?.[0] ?? 'root';
    const text = `key ${keyId.slice(0, 8)} is written down as ${now ?? 'nobody'}'s (before: ${old ?? 'nobody'}'s)`;
    return [{ about, text }];
  });
}

function policyDifferences(before: TrustPolicy | undefined, after: TrustPolicy): Difference[] {
  const products = new Set([...Object.keys(before?.products ?? {}), ...Object.keys(after.products)]);
  const organisations = new Set([...Object.keys(before?.directors ?? {}), ...Object.keys(after.directors)]);
  return [
    ...[...organisations].flatMap((name) =>
      directorDifferences(name, before?.directors[name], after.directors[name]),
    ),
    ...[...products].flatMap((name) =>
      productDifferences(name, before?.products[name], after.products[name]),
    ),
    ...deniedDifferences(before, after),
    ...otherDifferences(before, after),
  ];
}

function directorDifferences(
  organisation: string,
  before: TrustPolicy['directors'][string] | undefined,
  after: TrustPolicy['directors'][string] | undefined,
): Difference[] {
  const say = (text: string): Difference => ({ about: 'directors', text: `${organisation}: ${text}` });
  if (after === undefined) return [say('nobody directs its chargers any more')];
  const { gone, come } = listDifference(before?.keys ?? [], after.keys);
  const changed = pairUp(gone, come, ({ keyId }) => keyId);
  const id = ({ keyId }: DirectorKey) => `the service's key ${keyId.slice(0, 8)}`;
  return [
    ...changed.pairs.map(([old, now]) => say(`${id(now)} was ${old.state} and is ${stateWords(now.state)}`)),
    ...changed.gone.map((key) => say(`${id(key)} may not direct chargers any more`)),
    ...changed.come.map((key) =>
      say(
        key.state === 'active'
          ? `${id(key)} may tell chargers when to install what is signed`
          : `${id(key)} is ${stateWords(key.state)}`,
      ),
    ),
    ...(before !== undefined && before.epoch !== after.epoch
      ? [say(`epoch ${before.epoch} → ${after.epoch}: whatever was directed before is void`)]
      : []),
    ...(before === undefined ? [say(`begins at epoch ${after.epoch}`)] : []),
  ];
}

function productDifferences(
  product: string,
  before: ProductPolicy | undefined,
  after: ProductPolicy | undefined,
): Difference[] {
  const say = (text: string): Difference => ({ about: 'policy', text: `${product}: ${text}` });
  if (after === undefined) return [say('its rules are removed')];
  const { builders: oldBuilders = [], ...oldFields } = before ?? ({} as Partial<ProductPolicy>);
  const { builders, ...fields } = after;
  const changed = (({ gone, come }) => pairUp(gone, come, builderId))(listDifference(oldBuilders, builders));
  return [
    ...changed.pairs.map(([old, now]) =>
      say(`${builderWords(now)} was ${old.state} and is ${builderState(now)}`),
    ),
    ...changed.gone.map((builder) => say(`${builderWords(builder)} no longer counts as its build`)),
    ...changed.come.map((builder) =>
      say(
        builder.state === 'active'
          ? `what ${builderWords(builder)} attests counts as its build`
          : `${builderWords(builder)} is ${builderState(builder)}`,
      ),
    ),
    ...fieldDifferences(oldFields, fields).map(say),
  ];
}

/** Fields that this version has no words for are shown by their name. */
function fieldDifferences(before: object, after: object): string[] {
  const old = new Map<string, unknown>(Object.entries(before));
  const now = new Map<string, unknown>(Object.entries(after));
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((field) => {
    const [from, to] = [old.get(field), now.get(field)];
    if (sameValue(from, to)) return [];
    const words = Object.values(POLICY_FIELDS).find((known) => known.field === field)?.words ?? field;
    return [`${words}: ${from === undefined ? '' : `${shown(from)} → `}${shown(to)}`];
  });
}

function builderWords(builder: Builder): string {
  if (builder.kind === 'key') return `the build key ${builder.keyId.slice(0, 8)}`;
  return `the identity ${builderId(builder)} of ${builder.issuer}`;
}

function builderState({ state, retiredAt }: Builder): string {
  return retiredAt === undefined
    ? stateWords(state)
    : `retired: only what carries a trusted timestamp before ${retiredAt} counts`;
}

function stateWords(state: Builder['state']): string {
  switch (state) {
    case 'active':
      return 'active';
    case 'retired':
      return 'retired';
    case 'compromised':
      return 'compromised: nothing that it ever signed counts';
  }
}

function deniedDifferences(before: TrustPolicy | undefined, after: TrustPolicy): Difference[] {
  const words = { digests: 'the image', signers: 'whatever was built by' };
  return (['digests', 'signers'] as const).flatMap((list) => {
    const { gone, come } = listDifference(before?.denied[list] ?? [], after.denied[list]);
    const say = (text: string): Difference => ({ about: 'deny list', text });
    return [
      ...come.map((entry) => say(`${words[list]} ${entry} is refused, whatever else is signed`)),
      ...gone.map((entry) => say(`${words[list]} ${entry} is no longer refused`)),
    ];
  });
}

/** What a later version's policy holds besides. */
function otherDifferences(before: TrustPolicy | undefined, after: TrustPolicy): Difference[] {
  const said = new Set(['_type', 'version', 'directors', 'products', 'denied']);
  const rest = (policy: TrustPolicy | undefined) =>
    Object.fromEntries(Object.entries(policy ?? {}).filter(([member]) => !said.has(member)));
  const texts = fieldDifferences(rest(before), rest(after));
  return texts.map((text) => ({ about: 'policy', text }));
}

function sigstoreDifference(before: string | undefined, after: string): Difference[] {
  if (before === after) return [];
  const count = (text: string): string => {
    const {
      tlogs = [],
      certificateAuthorities = [],
      timestampAuthorities = [],
      ctlogs = [],
    } = JSON.parse(text) as Record<string, unknown[]>;
    const sum = [
      [certificateAuthorities.length, 'certificate authorities'],
      [tlogs.length, 'logs'],
      [ctlogs.length, 'certificate logs'],
      [timestampAuthorities.length, 'timestamp authorities'],
    ] as const;
    const some = sum.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`);
    return some.length === 0 ? 'nobody' : some.join(', ');
  };
  const sha256 = createHash('sha256').update(after).digest('hex');
  const text = `builds without a key of their own are vouched for by ${count(after)}`;
  const was = before === undefined ? '' : ` (before: ${count(before)})`;
  return [{ about: 'sigstore root', text: `${text}${was}; the file's SHA-256 is ${sha256}` }];
}

/** By whole entries, each as often as it is there: two entries of one key are not taken for one. */
function listDifference<T>(before: readonly T[], after: readonly T[]): { gone: T[]; come: T[] } {
  const left = before.map((value) => ({ value, bytes: canonicalBytes(value) }));
  const come: T[] = [];
  for (const value of after) {
    const bytes = canonicalBytes(value);
    const at = left.findIndex((entry) => entry.bytes.equals(bytes));
    if (at < 0) come.push(value);
    else left.splice(at, 1);
  }
  return { gone: left.map(({ value }) => value), come };
}

/** The same key before and after, where there is one of each. */
function pairUp<T>(
  gone: T[],
  come: T[],
  id: (value: T) => string,
): { pairs: [T, T][]; gone: T[]; come: T[] } {
  const pairs = gone.flatMap((old): [T, T][] => {
    const fits = come.filter((now) => id(now) === id(old));
    const twin = gone.filter((other) => id(other) === id(old));
    return fits.length === 1 && twin.length === 1 && fits[0] !== undefined ? [[old, fits[0]]] : [];
  });
  return {
    pairs,
    gone: gone.filter((old) => !pairs.some(([paired]) => paired === old)),
    come: come.filter((now) => !pairs.some(([, paired]) => paired === now)),
  };
}

function sameValue(a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined) return a === b;
  return canonicalBytes(a).equals(canonicalBytes(b));
}

function shown(value: unknown): string {
  return value === undefined ? 'gone' : typeof value === 'string' ? value : JSON.stringify(value);
}
