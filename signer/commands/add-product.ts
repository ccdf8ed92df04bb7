/** Adds a product: its role, its delegation and its entry in the policy, signed by the people whose targets keys are here. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { POLICY_TARGET, type ProductPolicy, type TrustPolicy } from '@tidegate/client-sdk/protocol';
import { parsePolicy } from '@tidegate/client-sdk/trust';
import {
  generateKey,
  hintOf,
  type PrivateKey,
  type PublicKey,
  publicKeyOf,
  writeKeyFile,
  passphraseIn,
} from '../keys/index.ts';
import {
  addSignature,
  addTarget,
  bump,
  checkSigned,
  delegateProduct,
  type Metadata,
  newProductRole,
  productRole,
  productsOf,
  readWorkingCopy,
  RepositoryError,
  type Role,
  type Targets,
  topLevelRole,
  withPeople,
  writeDocument,
  writeTrustFile,
} from '../repository/index.ts';
import { encodeFile, fileOf, newPassphrase, writePassphrase } from './ceremony.ts';
import { type CommandContext, now } from './context.ts';
import { CommandError } from './errors.ts';
import { awaitsFirstStart, exists, type Home, personKey, readCeremony, writeCeremony } from './home.ts';
import { holdersHere, nameOf, openKey } from './keyring.ts';

export interface ProductPlan {
  product: string;
  hardware: string[];
  engineers: string[];
  threshold: number;
  /** SPKI, PEM; of the build's key. */
  builderKey: string;
  securityVersionCap: number;
  emergencyFloor: number;
}

export interface ProductOutcome {
  product: string;
  engineers: { name: string; keyId: string }[];
  threshold: number;
  /** Of the top-level targets. */
  targetsVersion: number;
  policyVersion: number;
  signedBy: string[];
  /** Whether the service starts with it; otherwise it has to be published. */
  initial: boolean;
}

/**
 * @throws KeyError, RepositoryError `PRODUCT_EXISTS`, `PRODUCT_NAME`, `THRESHOLD_INVALID`, `WORKING_COPY_…`, CommandError
 *   `HOLDERS_MISSING`, Refusal `POLICY_MALFORMED`; then nothing was changed but new key files, which a second try uses.
 */
export async function addProduct(
  context: CommandContext,
  home: Home,
  plan: ProductPlan,
): Promise<ProductOutcome> {
  const ceremony = await readCeremony(home);
  const copy = await readWorkingCopy(home.repository);
  const initial = await awaitsFirstStart(home);
  const at = now(context);
  const policy = withProduct(copy.policy, plan);
  const policyBytes = encodeFile(policy);
  parsePolicy(policyBytes);
  // Before a key is made for nothing.
  if (productsOf(copy.targets.metadata).includes(plan.product)) {
    throw new RepositoryError('PRODUCT_EXISTS', plan.product);
  }
  const keys = await engineerKeys(context, home, plan);
  const delegated = delegateProduct(copy.targets.metadata, plan.product, { keys, threshold: plan.threshold });
  const names = new Map(keys.map(({ keyId }, i) => [keyId, plan.engineers[i] ?? '']));
  const listed = withPeople(addTarget(delegated, POLICY_TARGET, fileOf(policyBytes)), names);
  // Nobody has seen the first version before the service's first start: it is still being written.
  const version = initial ? listed.signed.version : listed.signed.version + 1;
  const targetsRole = topLevelRole(copy.root.metadata, 'targets');
  const { metadata: targets, signedBy } = await signByHolders(
    context,
    home,
    bump(listed, 'targets', at, version),
    targetsRole,
  );
  let role = newProductRole(at);
  for (const key of keys.slice(0, plan.threshold)) {
    role = await addSignature(role, productRole(targets, plan.product), key);
  }

  for (const folder of initial ? [home.initial, home.repository] : [home.repository]) {
    await writeDocument(folder, plan.product, role);
    await writeTrustFile(folder, POLICY_TARGET, policyBytes);
    await writeDocument(folder, 'targets', targets);
  }
  const products = { ...ceremony.products, [plan.product]: { hardware: plan.hardware } };
  await writeCeremony(home, { ...ceremony, products });
  return {
    product: plan.product,
    engineers: plan.engineers.map((name, i) => ({ name, keyId: keys[i]?.keyId ?? '' })),
    threshold: plan.threshold,
    targetsVersion: version,
    policyVersion: policy.version,
    signedBy,
    initial,
  };
}

function withProduct(policy: TrustPolicy, plan: ProductPlan): TrustPolicy {
  const { publicKey } = publicKeyOf(plan.builderKey);
  const product: ProductPolicy = {
    builders: [{ kind: 'key', keyId: hintOf(publicKey), publicKey, state: 'active' }],
    logs: 0,
    timestamps: 0,
    securityVersionCap: plan.securityVersionCap,
    emergencyFloor: plan.emergencyFloor,
  };
  return {
    ...policy,
    version: policy.version + 1,
    products: { ...policy.products, [plan.product]: product },
  };
}

/** One key for each engineer; one that an earlier, interrupted try has left is used. */
async function engineerKeys(context: CommandContext, home: Home, plan: ProductPlan): Promise<PrivateKey[]> {
  const keys: PrivateKey[] = [];
  for (const engineer of plan.engineers) {
    const path = personKey(home, engineer, plan.product);
    if (await exists(path)) {
      keys.push(await openKey(context, path));
      continue;
    }
    const key = generateKey('ed25519');
    const passphrase = await passphraseOf(context, home, engineer);
    await writeKeyFile(
      path,
      key,
      passphrase,
      context.scryptCost === undefined ? {} : { cost: context.scryptCost },
    );
    // A key that does not open again would be found out at the first release only.
    await openKey(context, path).catch(async (error: unknown) => {
      await rm(path, { force: true });
      throw error;
    });
    keys.push(key);
  }
  return keys;
}

async function passphraseOf(context: CommandContext, home: Home, engineer: string): Promise<string> {
  const given = context.env['TIDEGATE_PASSPHRASE'];
  if (given) return given;
  const folder = join(home.keys, engineer);
  const kept = await passphraseIn(folder);
  if (kept !== '') return kept;
  const made = newPassphrase();
  await writePassphrase(folder, made);
  return made;
}

/** Signs with as many of the role's keys as it needs, by the people whose keys are here. */
async function signByHolders(
  context: CommandContext,
  home: Home,
  unsigned: Metadata<Targets>,
  role: Role,
): Promise<{ metadata: Metadata<Targets>; signedBy: string[] }> {
  const holders = await holdersHere(home, role);
  if (holders.size < role.threshold) {
    throw new CommandError('HOLDERS_MISSING', `${role.name}: ${holders.size} of ${role.threshold}`);
  }
  let metadata = unsigned;
  const signedBy: PublicKey['keyId'][] = [];
  for (const [keyId, person] of [...holders].slice(0, role.threshold)) {
    metadata = await addSignature(metadata, role, await openKey(context, personKey(home, person, role.name)));
    signedBy.push(nameOf(keyId, holders));
  }
  checkSigned(metadata, role);
  return { metadata, signedBy };
}
