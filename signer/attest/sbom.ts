/** What is in an image, attested to its digest: CycloneDX or SPDX, in JSON. */
import { CYCLONEDX_TYPE, SPDX_TYPE, STATEMENT_TYPE, type SbomStatement } from '@tidegate/client-sdk/protocol';
import { MAX_SBOM_BYTES, verifySbom } from '@tidegate/client-sdk/trust';
import { jsonOf, member, optionalMember, text } from './answers.ts';
import { AttestError } from './errors.ts';
import { bundleOf, policyOf, type Signing } from './signing.ts';

export interface Sbom {
  format: 'CycloneDX' | 'SPDX';
  /** Of the format, e.g. `1.6`. */
  version: string;
  predicateType: SbomStatement['predicateType'];
  document: Record<string, unknown>;
}

/** https://cyclonedx.org/specification/overview/ */
const CYCLONEDX_VERSIONS = ['1.4', '1.5', '1.6', '1.7'];
/** https://spdx.github.io/spdx-spec/ — SPDX 3 is another format, and no tool that attests writes it yet. */
const SPDX_VERSIONS = ['SPDX-2.2', 'SPDX-2.3'];

/**
 * Reads an SBOM as far as its kind: that it is one, in a version that is known.
 * @throws AttestError `SBOM_TOO_LARGE`, `SBOM_MALFORMED`, `SBOM_VERSION`
 */
export function readSbom(bytes: Uint8Array): Sbom {
  if (bytes.length > MAX_SBOM_BYTES) throw new AttestError('SBOM_TOO_LARGE', `${bytes.length} bytes`);
  try {
    const document = jsonOf(bytes);
    if (optionalMember(document, 'bomFormat') === 'CycloneDX') {
      const version = known(CYCLONEDX_VERSIONS, text(member(document, 'specVersion')), 'CycloneDX');
      return {
        format: 'CycloneDX',
        version,
        predicateType: CYCLONEDX_TYPE,
        document: document as object as Sbom['document'],
      };
    }
    const said = known(SPDX_VERSIONS, text(member(document, 'spdxVersion')), 'SPDX');
    if (member(document, 'SPDXID') !== 'SPDXRef-DOCUMENT') throw new TypeError('no SPDXRef-DOCUMENT');
    return {
      format: 'SPDX',
      version: said.slice('SPDX-'.length),
      predicateType: SPDX_TYPE,
      document: document as object as Sbom['document'],
    };
  } catch (cause) {
    if (cause instanceof AttestError) throw cause;
    throw new AttestError('SBOM_MALFORMED', (cause as Error).message.slice(0, 200), { cause });
  }
}

/**
 * Attests an SBOM to an image: a Sigstore bundle v0.3 (JSON), verified as `verifySbom` will before it is handed out.
 * @throws AttestError, KeyError, Refusal
 */
export async function attestSbom(
  image: { name: string; sha256: string; product: string },
  sbom: Sbom,
  signing: Signing,
): Promise<Uint8Array> {
  const bundle = await bundleOf(sbomStatementOf(image, sbom), signing);
  const { product, sha256 } = image;
  verifySbom({
    bundle,
    sha256,
    product,
    policy: policyOf(signing, product),
    sigstoreRoot: signing.trustedRoot,
  });
  return bundle;
}

/** The statement that is attested. */
export function sbomStatementOf(image: { name: string; sha256: string }, sbom: Sbom): SbomStatement {
  return {
    _type: STATEMENT_TYPE,
    subject: [{ name: image.name, digest: { sha256: image.sha256 } }],
    predicateType: sbom.predicateType,
    predicate: sbom.document,
  };
}

function known(versions: readonly string[], version: string, format: string): string {
  if (!versions.includes(version)) throw new AttestError('SBOM_VERSION', `${format} ${version.slice(0, 40)}`);
  return version;
}
