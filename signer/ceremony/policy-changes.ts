/** Edits of `trust/policy.json`. */
import {
  type Builder,
  type DirectorKey,
  type KeyState,
  type ProductPolicy,
  type TrustPolicy,
} from '@tidegate/client-sdk/protocol';
import { type PublicKey } from '../keys/index.ts';
import { CeremonyError } from './errors.ts';
import { begins, oneKey } from './key-ids.ts';

/**
 * The plain fields of a product's policy, by their name on the command line. A new number, boolean or word is one line here; what it may be
 * is for the charger's own reader to say.
 * `words` completes "… for acme.dc150: 0 → 5".
 */
export const POLICY_FIELDS = {
  'emergency-floor': { field: 'emergencyFloor', words: 'lowest security version that is still installed' },
  'security-version-cap': { field: 'securityVersionCap', words: 'highest security version that is accepted' },
  logs: { field: 'logs', words: 'transparency logs that a build must be in' },
  'builder-threshold': { field: 'builderThreshold', words: 'parties that must each have attested a build' },
  sbom: { field: 'sbom', words: 'whether a release needs an attested SBOM' },
  timestamps: { field: 'timestamps', words: 'trusted timestamps that a build must carry' },
} as const satisfies Record<string, { field: keyof ProductPolicy; words: string }>;

export type PolicyField = keyof typeof POLICY_FIELDS;

export type PolicyChange =
  | { kind: 'set'; product: string; field: string; value: number | boolean | string }
  | { kind: 'add-builder'; product: string; builder: Builder }
  | { kind: 'retire-builder'; product: string; builder: string; at: string }
  | { kind: 'compromised-builder'; product: string; builder: string }
  | { kind: 'add-director'; organisation?: string; key: PublicKey }
  | { kind: 'retire-director'; organisation?: string; keyId: string }
  | { kind: 'stolen-director'; organisation?: string; key: PublicKey }
  | { kind: 'deny'; list: DenyList; entry: string }
  | { kind: 'allow'; list: DenyList; entry: string };

export type DenyList = keyof TrustPolicy['denied'];

/** @throws CeremonyError */
export function applyPolicyChange(policy: TrustPolicy, change: PolicyChange): TrustPolicy {
  switch (change.kind) {
    case 'set':
      return withProduct(policy, change.product, (product) => ({
        ...product,
        [fieldOf(change.field)]: change.value,
      }));
    case 'add-builder':
      return withProduct(policy, change.product, (product) => addBuilder(product, change.builder));
    case 'retire-builder':
      return withProduct(policy, change.product, (product) =>
        editBuilder(product, change.builder, (builder) => stateOf(builder, 'retired', change.at)),
      );
    case 'compromised-builder':
      return withProduct(policy, change.product, (product) =>
        editBuilder(product, change.builder, (builder) => stateOf(builder, 'compromised')),
      );
    case 'add-director':
      return withDirector(policy, change.organisation, ({ epoch, keys }) => ({
        epoch,
        keys: [...keys.filter(({ keyId }) => keyId !== change.key.keyId), directorKey(change.key)],
      }));
    case 'retire-director':
      return withDirector(policy, change.organisation, ({ epoch, keys }) => {
        const active = keys.filter(({ state }) => state === 'active').map(({ keyId }) => keyId);
        const retired = oneKey(active, change.keyId);
        return {
          epoch,
          keys: keys.map((key) => (key.keyId === retired ? { ...key, state: 'retired' } : key)),
        };
      });
    case 'stolen-director':
      // The thief may have used up the numbers of this epoch; those of the next one are all above them. Design §3
      return withDirector(policy, change.organisation, ({ epoch, keys }) => {
        if (keys.some(({ keyId }) => keyId === change.key.keyId)) {
          throw new CeremonyError(
            'KEY_TWICE',
            `The director key ${change.key.keyId.slice(0, 8)} is a former one`,
          );
        }
        const stolen = keys.map((key) =>
          key.state === 'active' ? { ...key, state: 'compromised' as const } : key,
        );
        return { epoch: epoch + 1, keys: [...stolen, directorKey(change.key)] };
      });
    case 'deny':
      return withDenied(policy, change.list, (entries) => [
        ...entries.filter((entry) => entry !== change.entry),
        change.entry,
      ]);
    case 'allow':
      return withDenied(policy, change.list, (entries) => {
        if (!entries.includes(change.entry)) throw new CeremonyError('ENTRY_UNKNOWN', change.entry);
        return entries.filter((entry) => entry !== change.entry);
      });
  }
}

export function withoutProduct(policy: TrustPolicy, product: string): TrustPolicy {
  const products = Object.fromEntries(Object.entries(policy.products).filter(([name]) => name !== product));
  return { ...policy, products };
}

export function directorKey({ keyId, publicKey }: PublicKey): DirectorKey {
  return { keyId, publicKey, state: 'active' };
}

function fieldOf(name: string): string {
  if (!Object.hasOwn(POLICY_FIELDS, name)) throw new CeremonyError('FIELD_UNKNOWN', name);
  return POLICY_FIELDS[name as PolicyField].field;
}

function withProduct(
  policy: TrustPolicy,
  name: string,
  edit: (product: ProductPolicy) => ProductPolicy,
): TrustPolicy {
  const product = Object.hasOwn(policy.products, name) ? policy.products[name] : undefined;
  if (product === undefined) throw new CeremonyError('PRODUCT_UNKNOWN', name);
  return { ...policy, products: { ...policy.products, [name]: edit(product) } };
}

function withDirector(
  policy: TrustPolicy,
  named: string | undefined,
  edit: (director: TrustPolicy['directors'][string]) => TrustPolicy['directors'][string],
): TrustPolicy {
  const organisations = Object.keys(policy.directors);
  const organisation = named ?? (organisations.length === 1 ? organisations[0] : undefined);
  const director =
    organisation !== undefined && Object.hasOwn(policy.directors, organisation)
      ? policy.directors[organisation]
      : undefined;
  if (organisation === undefined || director === undefined) {
    throw new CeremonyError(
      'PERSON_UNKNOWN',
      `Organisation ${named ?? `one of ${organisations.join(', ')}`}`,
    );
  }
  return { ...policy, directors: { ...policy.directors, [organisation]: edit(director) } };
}

function withDenied(policy: TrustPolicy, list: DenyList, edit: (entries: string[]) => string[]): TrustPolicy {
  return { ...policy, denied: { ...policy.denied, [list]: edit(policy.denied[list]) } };
}

function addBuilder(product: ProductPolicy, builder: Builder): ProductPolicy {
  const others = product.builders.filter((other) => builderId(other) !== builderId(builder));
  return { ...product, builders: [...others, builder] };
}

function editBuilder(product: ProductPolicy, id: string, edit: (builder: Builder) => Builder): ProductPolicy {
  const found = product.builders.filter((builder) => isBuilder(builder, id));
  if (found.length === 0) throw new CeremonyError('BUILDER_UNKNOWN', id);
  if (new Set(found.map(builderId)).size > 1) throw new CeremonyError('KEY_AMBIGUOUS', id);
  return {
    ...product,
    builders: product.builders.map((builder) => (found.includes(builder) ? edit(builder) : builder)),
  };
}

function isBuilder(builder: Builder, id: string): boolean {
  if (builder.kind === 'key') return begins(builder.keyId, id);
  return id === builder.workflow || id === builderId(builder);
}

/** How a builder is named to people: a key's id, or workflow and ref. */
export function builderId(builder: Builder): string {
  if (builder.kind === 'key') return builder.keyId;
  return builder.ref === '' ? builder.workflow : `${builder.workflow}@${builder.ref}`;
}

function stateOf(builder: Builder, state: KeyState, retiredAt?: string): Builder {
  const { retiredAt: _, ...rest } = builder;
  return { ...rest, state, ...(retiredAt === undefined ? {} : { retiredAt }) };
}
