/**
 * The names that everything else is built from, and the only place that says what they may contain.
 * A name goes into TUF paths, file names, URLs and certificates, so each alphabet is closed.
 */

/** Organisation id, e.g. `acme`. Lower case, at most 32 characters. */
export const ORGANISATION = /^[a-z][a-z0-9-]{0,31}$/;
/** Product id, which is also the name of its TUF role, e.g. `acme.dc150`. It holds no `/`, so the role's file name is the role's name. */
export const PRODUCT = /^[a-z][a-z0-9-]{0,31}(\.[a-z0-9][a-z0-9-]{0,31}){1,3}$/;
/** Hardware id, e.g. `dc150-r2`. */
export const HARDWARE = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** Serial number of a charger, as on its label. */
export const SERIAL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** File name of an image below its product, e.g. `dc150-1.2.0.raucb`. */
export const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/;
/** Site id, e.g. `berlin-depot`. */
export const SITE = /^[a-z0-9][a-z0-9-]{0,63}$/;
/** Id of an assignment. What a charger takes in a directive it says again in its check-ins, so both sides must know the same alphabet. */
export const ASSIGNMENT = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
/** SHA-256, lower-case hex. */
export const SHA256 = /^[0-9a-f]{64}$/;
/** Semantic Versioning 2.0.0 without build metadata: two builds of one version are two versions. */
export const VERSION =
  /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

/** Path of a target in TUF: `<product>/<file>`; the role's delegation covers `<product>/*` and nothing else. */
export function targetPath(product: string, file: string): string {
  return `${product}/${file}`;
}

/** Name under which a consistent-snapshot repository serves a target: `<dir>/<sha256>.<file>`. TUF 6.2.3 */
export function consistentTargetPath(path: string, sha256: string): string {
  const slash = path.lastIndexOf('/');
  return `${path.slice(0, slash + 1)}${sha256}.${path.slice(slash + 1)}`;
}

/** Top-level target that holds the trust policy. */
export const POLICY_TARGET = 'trust/policy.json';
/** Top-level target that holds the Sigstore trusted root. */
export const SIGSTORE_ROOT_TARGET = 'trust/sigstore_root.json';

/**
 * Orders two versions. Semantic Versioning 2.0.0 §11.
 * @returns a negative number when `a` is older, 0 when they are the same, a positive number when `a` is newer.
 */
export function compareVersions(a: string, b: string): number {
  const [coreA, preA] = split(a);
  const [coreB, preB] = split(b);
  for (let i = 0; i < 3; i++) {
    const difference = Number(coreA[i]) - Number(coreB[i]);
    if (difference !== 0) return difference;
  }
  if (preA === undefined || preB === undefined) {
    return preA === preB ? 0 : preA === undefined ? 1 : -1;
  }
  for (let i = 0; i < Math.max(preA.length, preB.length); i++) {
    const difference = compareIdentifiers(preA[i], preB[i]);
    if (difference !== 0) return difference;
  }
  return 0;
}

function split(version: string): [string[], string[] | undefined] {
  const dash = version.indexOf('-');
  const core = dash < 0 ? version : version.slice(0, dash);
  return [core.split('.'), dash < 0 ? undefined : version.slice(dash + 1).split('.')];
}

function compareIdentifiers(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1;
  const numericA = /^\d+$/.test(a);
  const numericB = /^\d+$/.test(b);
  if (numericA && numericB) return Number(a) - Number(b);
  if (numericA !== numericB) return numericA ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
