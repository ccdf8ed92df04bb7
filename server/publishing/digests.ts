import type { Publication } from './types.ts';

/**
 * Every digest that the roles of a publication list, read leniently: it only says which uploads belong to a publication that was
 * refused, perhaps because its metadata is malformed.
 */
export function listedDigests(publication: Publication): Set<string> {
  const digests = new Set<string>();
  for (const text of Object.values(publication.products)) {
    for (const sha256 of text.match(/(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g) ?? []) digests.add(sha256);
  }
  return digests;
}
