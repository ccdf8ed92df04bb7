/** Judges an image file by what the charger trusted last, without the network. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Refusal } from '../protocol/index.ts';
import type { Clock, ReleaseTarget } from '../protocol/index.ts';
import { decideInstall, diskFiles, readTimeFloor, verifyRelease } from '../trust/index.ts';
import type { TrustResult } from '../trust/index.ts';
import type { Identity } from './context.ts';
import { freshState, readState } from './memory.ts';
import { recallTrust } from './trust-keeper.ts';
import { waysDown } from './ways-down.ts';

export interface TrustAge {
  /** RFC 3339: the last signed time that the charger kept; what it trusts is at least as old as that. */
  asOf: string;
  /** Seconds since then, by this machine's clock. */
  ageSeconds: number;
  timestampVersion: number;
  /** RFC 3339: from then on the service would have to be asked before an install. */
  expires: string;
  expired: boolean;
}

export interface OfflineVerdict {
  sha256: string;
  target: ReleaseTarget;
  /** Who attested the build: key id or certificate identity. */
  signer: string;
  trust: TrustAge;
}

/**
 * Is this file an image that the charger may install, by its own last knowledge? The rules are those of an update but for the
 * directive: nobody need want it now.
 * @param bundles Sigstore bundles that lie beside the image
 * @param sbom the bundle around its SBOM, where the policy asks for one
 * @throws Refusal with the code of the rule that says no; `STATE_CORRUPT` where the charger has never heard from its service
 */
export async function verifyOffline(input: {
  identity: Identity;
  stateFolder: string;
  image: string;
  bundles: Uint8Array[];
  sbom?: Uint8Array | undefined;
  clock: Clock;
}): Promise<OfflineVerdict> {
  const { identity, stateFolder, image, bundles, sbom, clock } = input;
  const { trust, floor } = await recall(identity, stateFolder);
  const sha256 = await digestOf(image);
  const path = [...trust.productTargets.targets].find(([, listed]) => listed.sha256 === sha256)?.[0];
  if (path === undefined)
    throw new Refusal('TARGET_UNKNOWN', `${sha256} is not listed for ${identity.product}`);
  const target = trust.set.productTarget(identity.product, path);
  const { product, hardware } = identity;
  const kept =
    (await readState(diskFiles(stateFolder))) ?? freshState(identity.factory, identity.securityFloor);
  const state = { ...kept, fallbackOfInstalled: waysDown(kept, trust) };
  decideInstall({ target, charger: { product, hardware }, state, policy: trust.policy, now: floor });
  const { signer } = verifyRelease({
    target,
    bundles,
    sbom,
    product,
    policy: trust.policy,
    sigstoreRoot: trust.sigstoreRoot,
  });
  return { sha256, target, signer, trust: ageOf(trust, floor, clock) };
}

/** How old the charger's knowledge is; undefined where it has none. */
export async function trustAge(
  identity: Identity,
  stateFolder: string,
  clock: Clock,
): Promise<TrustAge | undefined> {
  try {
    const { trust, floor } = await recall(identity, stateFolder);
    return ageOf(trust, floor, clock);
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

async function recall(identity: Identity, folder: string): Promise<{ trust: TrustResult; floor: number }> {
  const files = diskFiles(folder);
  const floor = await readTimeFloor(files, Date.parse(identity.buildTime));
  try {
    return { trust: await recallTrust({ files, provisioning: identity, now: floor }), floor };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal('STATE_CORRUPT', 'nothing trusted is kept here; let the charger check in once', {
      cause: error,
    });
  }
}

function ageOf(trust: TrustResult, floor: number, clock: Clock): TrustAge {
  const { version, expires } = trust.set.timestamp;
  return {
    asOf: new Date(floor).toISOString(),
    ageSeconds: Math.max(0, Math.round((clock.now() - floor) / 1000)),
    timestampVersion: version,
    expires: new Date(expires).toISOString(),
    expired: clock.now() >= expires,
  };
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    throw new Refusal('INSTALL_FAILED', `cannot read ${path}`, { cause: error });
  }
  return hash.digest('hex');
}
