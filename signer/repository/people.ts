/**
 * Who holds which key, as those who signed saw it: key id → name. It lies under the signature, in a member of `root` and `targets` that
 * readers who do not know it pass over (TUF 4.1), and not in the key objects, whose hash is the key's id.
 */
import type { Metadata, Root, Targets } from './metadata.ts';

export const PEOPLE = 'x-tidegate-people';

/** Names of the keys that a document names; empty where nobody wrote them down. */
export function peopleOf(metadata: Metadata<Root> | Metadata<Targets>): Map<string, string> {
  return new Map(Object.entries(metadata.signed[PEOPLE] ?? {}));
}

/** The member for those of the names whose keys the document holds; nothing where there are none. */
export function peopleMember(
  keys: Iterable<string>,
  names: ReadonlyMap<string, string>,
): { [PEOPLE]?: Record<string, string> } {
  const known = [...keys].flatMap((keyId): [string, string][] => {
    const name = names.get(keyId);
    return name === undefined ? [] : [[keyId, name]];
  });
  return known.length === 0 ? {} : { [PEOPLE]: Object.fromEntries(known) };
}

/** Writes down whose the keys are; the result has to be signed. */
export function withPeople<T extends Root | Targets>(
  metadata: Metadata<T>,
  names: ReadonlyMap<string, string>,
): Metadata<T> {
  const { signed } = metadata;
  const keys = signed._type === 'root' ? signed.keys : (signed.delegations?.keys ?? {});
  const all = new Map([...Object.entries(signed[PEOPLE] ?? {}), ...names]);
  return { signed: { ...signed, ...peopleMember(Object.keys(keys), all) }, signatures: [] };
}
