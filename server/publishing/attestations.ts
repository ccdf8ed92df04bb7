/** A release judged by the SDK's own code, with attestations from wherever they lie: one at a time in memory, as a charger does it. */
import type { SideFile } from '@tidegate/client-sdk/protocol';
import { Refusal } from '@tidegate/client-sdk/protocol';
import {
  MAX_BUNDLE_BYTES,
  MAX_SBOM_BUNDLE_BYTES,
  type ReleaseQuestion,
  ReleaseReview,
} from '@tidegate/client-sdk/trust';

/**
 * @param read the bytes of a listed file.
 * @param newSbom whether the SBOM is looked at although the policy does not ask for one: what is listed now is to be what it says it is.
 * @throws Refusal where a charger would refuse the release
 */
export async function reviewAttestations(
  question: ReleaseQuestion,
  read: (file: SideFile) => Promise<Uint8Array>,
  newSbom = false,
): Promise<void> {
  const review = new ReleaseReview(question);
  const { bundles, sbom } = question.target.custom;
  for (const file of bundles) {
    if (review.enough) break;
    // A charger does not read it either.
    if (file.length <= MAX_BUNDLE_BYTES) review.takeBundle(await read(file));
  }
  if (sbom !== null && (newSbom || review.wantsSbom)) {
    if (sbom.length > MAX_SBOM_BUNDLE_BYTES) throw new Refusal('SBOM_INVALID', `${sbom.length} bytes`);
    review.takeSbom(await read(sbom));
  }
  review.verdict();
}
