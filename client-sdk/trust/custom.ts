import {
  FILE_NAME,
  HARDWARE,
  PRODUCT,
  Refusal,
  SHA256,
  VERSION,
  type TargetCustom,
} from '../protocol/index.ts';
import {
  arrayOf,
  instant,
  integer,
  nullable,
  object,
  ShapeError,
  text,
  truth,
  type Reader,
} from './shape.ts';

/** Most bundles that a release lists. */
export const MAX_BUNDLES = 16;

/** Highest security version that can be written: it is a counter that people raise, so a large one is a mistake or an attack. */
export const MAX_SECURITY_VERSION = 1_000_000;

const path: Reader<string> = (value, at) => {
  const read = text(256)(value, at);
  const [product = '', file = '', ...rest] = read.split('/');
  if (rest.length > 0 || !PRODUCT.test(product) || !FILE_NAME.test(file)) {
    throw new ShapeError(at, '<product>/<file>');
  }
  return read;
};

const sha256 = text(64, SHA256);
const sideFile = object({ path, sha256, length: integer(1, 16 * 1024 * 1024) });
const fallback = object({ path, sha256, expires: instant, auto: truth });

export const hardwareList = arrayOf(text(64, HARDWARE), 64, 1);

/** Text for people, as any database can keep it: no NUL, and no halves of characters. Who shows it strips what a terminal would obey. */
const PROSE = /^[^\p{Cs}\0]*$/u;

const readCustom: Reader<TargetCustom> = object(
  {
    product: text(160, PRODUCT),
    version: text(128, VERSION),
    hardware: hardwareList,
    securityVersion: integer(0, MAX_SECURITY_VERSION),
    fallback: arrayOf(fallback, 32),
    bundles: arrayOf(sideFile, MAX_BUNDLES),
    notes: text(16_384, PROSE),
    sbom: nullable(sideFile),
    cves: arrayOf(text(64), 1024),
  },
  // What is deprecated says why.
  { deprecated: text(1024, /^[^\p{Cs}\0]+$/u) },
);

/**
 * Reads `custom` of a product role's target. Every name in it lies below the target's own product.
 * @throws Refusal TARGET_MALFORMED
 */
export function parseCustom(value: unknown): TargetCustom {
  try {
    const custom = readCustom(value, '');
    const files = [...custom.fallback, ...custom.bundles, ...(custom.sbom ? [custom.sbom] : [])];
    const stray = files.find((file) => !file.path.startsWith(`${custom.product}/`));
    if (stray !== undefined) throw new ShapeError(stray.path, `below ${custom.product}`);
    return custom;
  } catch (error) {
    throw new Refusal('TARGET_MALFORMED', (error as Error).message.slice(0, 300), { cause: error });
  }
}
