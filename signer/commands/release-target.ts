/** What the product role will say of an image, put together from what was typed and from the files themselves. */
import { extname, resolve } from 'node:path';
import { type ReleaseTarget, type SideFile, targetPath } from '@tidegate/client-sdk/protocol';
import { MAX_BUNDLE_BYTES, MAX_SBOM_BUNDLE_BYTES, MAX_SECURITY_VERSION } from '@tidegate/client-sdk/trust';
import { hashFile } from '../attest/index.ts';
import { expiryOf, releasesOf, type WorkingCopy } from '../repository/index.ts';
import { fileOf } from './ceremony.ts';
import { CommandError } from './errors.ts';
import { chooseFallbacks } from './fallbacks.ts';
import { hardwareIds, productId, readSmallFile, unreadable, versionNumber, wholeNumber } from './options.ts';

export interface ReleaseOptions {
  bundle: string[];
  sbom?: string;
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
): Promise<{ target: ReleaseTarget; files: Buffer[] }> {
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
  const sbom = options.sbom === undefined ? undefined : await readSbomBundle(cwd, options.sbom);
  const role = copy.products.get(product);
  const listed = role === undefined ? [] : releasesOf(role.metadata);
  return {
    files: sbom === undefined ? bundles : [...bundles, sbom],
    target: {
      path,
      ...image,
      custom: {
        product,
        version,
        hardware,
        securityVersion: wholeNumber('--security-version', options.securityVersion, 0, MAX_SECURITY_VERSION),
        fallback: chooseFallbacks(options.fallback, version, listed, expiryOf('product', now)),
        bundles: bundleFiles(path, bundles, []),
        notes: options.adopt === true ? `${ADOPTED} ${options.notes}`.trim() : options.notes,
        sbom: sbom === undefined ? null : sbomFile(path, sbom),
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

/** Each under the first free name beside its image. */
export function bundleFiles(path: string, bundles: Buffer[], listed: readonly SideFile[]): SideFile[] {
  const taken = new Set(listed.map((file) => file.path));
  return bundles.map((bytes) => {
    let i = 1;
    const name = () => `${path}${i === 1 ? '' : `.${i}`}.sigstore.json`;
    while (taken.has(name())) i++;
    taken.add(name());
    return { path: name(), ...fileOf(bytes) };
  });
}

export function sbomFile(path: string, bundle: Buffer): SideFile {
  return { path: `${path}.sbom.sigstore.json`, ...fileOf(bundle) };
}

export async function readSbomBundle(cwd: string, file: string): Promise<Buffer> {
  return readSmallFile(resolve(cwd, file), MAX_SBOM_BUNDLE_BYTES);
}

export async function readBundles(cwd: string, files: string[]): Promise<Buffer[]> {
  const bundles: Buffer[] = [];
  for (const file of files) bundles.push(await readSmallFile(resolve(cwd, file), MAX_BUNDLE_BYTES));
  return bundles;
}
