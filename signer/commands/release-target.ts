/** What the product role will say of an image, put together from what was typed and from the files themselves. */
import { extname, resolve } from 'node:path';
import { type ReleaseTarget, targetPath } from '@tidegate/client-sdk/protocol';
import { MAX_BUNDLE_BYTES, MAX_SECURITY_VERSION } from '@tidegate/client-sdk/trust';
import { hashFile } from '../attest/index.ts';
import { expiryOf, releasesOf, type WorkingCopy } from '../repository/index.ts';
import { fileOf } from './ceremony.ts';
import { CommandError } from './errors.ts';
import { chooseFallbacks } from './fallbacks.ts';
import { hardwareIds, productId, readSmallFile, unreadable, versionNumber, wholeNumber } from './options.ts';

export interface ReleaseOptions {
  bundle: string[];
  product: string;
  version: string;
  hardware: string;
  securityVersion: string;
  fallback: string[];
  notes: string;
  cve: string[];
  adopt?: boolean;
}

/** Begins the signed notes of an image that the fleet runs already. */
const ADOPTED = 'Adopted from the existing fleet.';

export function isAdopted({ custom }: ReleaseTarget): boolean {
  return custom.notes.startsWith(ADOPTED);
}

/** @throws CommandError, RepositoryError `FALLBACK_UNKNOWN`. */
export async function describeTarget(
  input: { cwd: string; imageFile: string; options: ReleaseOptions; knownHardware: string[] | undefined },
  copy: WorkingCopy,
  now: number,
): Promise<{ target: ReleaseTarget; bundles: Buffer[] }> {
  const { cwd, imageFile, options, knownHardware } = input;
  const product = productId(options.product);
  const version = versionNumber('--version', options.version);
  const hardware = hardwareIds(options.hardware);
  const stray = hardware.find((id) => knownHardware !== undefined && !knownHardware.includes(id));
  if (stray !== undefined) {
    const known = knownHardware?.join(', ') ?? '';
    throw new CommandError('HARDWARE_UNKNOWN', `${stray} is not among ${known} of ${product}`);
  }
  const path = targetPath(product, fileName(product, version, imageFile));
  const image = await hashFile(imageFile).catch(unreadable(imageFile));
  const bundles = await readBundles(cwd, options.bundle);
  const role = copy.products.get(product);
  const listed = role === undefined ? [] : releasesOf(role.metadata);
  return {
    bundles,
    target: {
      path,
      ...image,
      custom: {
        product,
        version,
        hardware,
        securityVersion: wholeNumber('--security-version', options.securityVersion, 0, MAX_SECURITY_VERSION),
        fallback: chooseFallbacks(options.fallback, version, listed, expiryOf('product', now)),
        bundles: bundles.map((bytes, i) => ({ path: `${path}${bundleEnding(i)}`, ...fileOf(bytes) })),
        notes: options.adopt === true ? `${ADOPTED} ${options.notes}`.trim() : options.notes,
        sbom: null,
        cves: options.cve,
      },
    },
  };
}

/** `dc150-1.2.0.raucb`, whatever the build called it: CI calls every version the same. */
function fileName(product: string, version: string, imageFile: string): string {
  const ending = extname(imageFile).toLowerCase();
  return `${product.split('.').at(-1)}-${version}${/^\.[a-z0-9]{1,10}$/.test(ending) ? ending : '.bin'}`;
}

function bundleEnding(i: number): string {
  return i === 0 ? '.sigstore.json' : `.${i + 1}.sigstore.json`;
}

async function readBundles(cwd: string, files: string[]): Promise<Buffer[]> {
  const bundles: Buffer[] = [];
  for (const file of files) bundles.push(await readSmallFile(resolve(cwd, file), MAX_BUNDLE_BYTES));
  return bundles;
}
