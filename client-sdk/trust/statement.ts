/** The attested statement: an in-toto Statement with SLSA Provenance v1 about exactly one image. Design §2, step 1. */
import {
  BUILD_TYPE,
  PRODUCT,
  PROVENANCE_TYPE,
  Refusal,
  SHA256,
  STATEMENT_TYPES,
  VERSION,
  type ProvenanceStatement,
} from '../protocol/index.ts';
import { hardwareList, MAX_SECURITY_VERSION } from './custom.ts';
import { arrayOf, integer, object, oneOf, openObject, parseJson, text } from './shape.ts';

const MAX_BYTES = 128 * 1024;

const subject = openObject({ name: text(256), digest: openObject({ sha256: text(64, SHA256) }) });

// SLSA v1.0, "Verifying artifacts": unknown external parameters are refused, since they may have changed the build.
const externalParameters = object({
  product: text(160, PRODUCT),
  version: text(128, VERSION),
  hardware: hardwareList,
  securityVersion: integer(0, MAX_SECURITY_VERSION),
});

const statement = openObject({
  _type: oneOf(...STATEMENT_TYPES),
  subject: arrayOf(subject, 1, 1),
  predicateType: oneOf(PROVENANCE_TYPE),
  predicate: openObject({
    buildDefinition: openObject({ buildType: oneOf(BUILD_TYPE), externalParameters }),
    runDetails: openObject({ builder: openObject({ id: text(1024) }) }),
  }),
});

/**
 * @param sha256 digest of the image; a DSSE bundle verifies whatever its subject is, so it is compared here.
 * @throws Refusal BUNDLE_INVALID
 */
export function readStatement(payload: Uint8Array, sha256: string): ProvenanceStatement {
  let value: unknown;
  try {
    value = parseJson(payload, MAX_BYTES);
    statement(value, '');
  } catch (error) {
    throw new Refusal('BUNDLE_INVALID', `statement: ${(error as Error).message.slice(0, 300)}`, {
      cause: error,
    });
  }
  const read = value as ProvenanceStatement;
  if (read.subject[0]?.digest.sha256 !== sha256) {
    throw new Refusal('BUNDLE_INVALID', `the statement is about ${read.subject[0]?.digest.sha256}`);
  }
  return read;
}
