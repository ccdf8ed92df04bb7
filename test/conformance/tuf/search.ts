/** The pre-order depth-first search for a target through the delegations. TUF 5.6.7 */
import { createHash } from 'node:crypto';
import type { DelegatedRole, Delegations, TargetFile, TargetsMetadata } from '@tidegate/client-sdk/trust/tuf';

/** Most delegated roles that one search looks into: as many as in python-tuf. TUF 5.6.7.1 */
const MAX_DELEGATED = 32;

interface Visit {
  /** Undefined for top-level targets, which are verified already. */
  delegator: TargetsMetadata | undefined;
  role: DelegatedRole;
}

interface Edge {
  role: DelegatedRole;
  terminating: boolean;
}

/**
 * @param load verifies a role as its delegator hands it on; when it throws, the search is over.
 * @returns undefined when no role that is asked lists the path.
 */
export async function findTarget(
  targets: TargetsMetadata,
  path: string,
  load: (delegator: TargetsMetadata, role: DelegatedRole) => Promise<TargetsMetadata>,
): Promise<TargetFile | undefined> {
  const visited = new Set<string>();
  let toVisit: Visit[] = [{ delegator: undefined, role: { name: 'targets', keyids: [], threshold: 1 } }];
  while (visited.size <= MAX_DELEGATED) {
    const visit = toVisit.shift();
    if (visit === undefined) return undefined;
    if (visited.has(visit.role.name)) continue; // a circle
    visited.add(visit.role.name);

    const metadata = visit.delegator === undefined ? targets : await load(visit.delegator, visit.role);
    const target = metadata.targets.get(path);
    if (target !== undefined) return target;

    const edges = edgesFor(metadata.delegations, path);
    const below = edges.map(({ role }) => ({ delegator: metadata, role }));
    // TUF 5.6.7.2.1: below a terminating delegation, and nowhere else
    toVisit = edges.at(-1)?.terminating === true ? below : [...below, ...toVisit];
  }
  return undefined;
}

/** The delegations that speak for the path, in order, up to the first that is terminating. */
function edgesFor(delegations: Delegations | undefined, path: string): Edge[] {
  if (delegations === undefined) return [];
  const digest = createHash('sha256').update(path).digest();
  if (delegations.succinct !== undefined) {
    const { bitLength, namePrefix, keyids, threshold } = delegations.succinct;
    return [{ role: { name: binName(digest, bitLength, namePrefix), keyids, threshold }, terminating: true }];
  }
  const edges: Edge[] = [];
  for (const role of delegations.roles) {
    const speaks =
      role.paths?.some((pattern) => matches(path, pattern)) ??
      role.pathHashPrefixes?.some((prefix) => digest.toString('hex').startsWith(prefix));
    if (speaks !== true) continue;
    edges.push({ role, terminating: role.terminating });
    if (role.terminating) break;
  }
  return edges;
}

/** TAP 15: the first bits of the digest, in as many hex digits as the last bin needs. */
function binName(digest: Buffer, bitLength: number, prefix: string): string {
  const bin = digest.readUInt32BE(0) >>> (32 - bitLength);
  const digits = (2 ** bitLength - 1).toString(16).length;
  return `${prefix}-${bin.toString(16).padStart(digits, '0')}`;
}

/** Segment by segment: `*` is any text, `?` any one character, neither of them `/`. TUF 4.5 "PATHPATTERN" */
export function matches(path: string, pattern: string): boolean {
  const segments = path.split('/');
  const patterns = pattern.split('/');
  return (
    segments.length === patterns.length && patterns.every((glob, i) => globMatches(segments[i] ?? '', glob))
  );
}

/** Linear in both but for the last `*`, to which it goes back: no pattern from a repository takes exponential time. */
function globMatches(text: string, glob: string): boolean {
  let at = 0;
  let want = 0;
  let star = -1;
  let afterStar = 0;
  while (at < text.length) {
    if (glob[want] === '*') {
      star = want++;
      afterStar = at;
    } else if (want < glob.length && (glob[want] === '?' || glob[want] === text[at])) {
      want++;
      at++;
    } else if (star >= 0) {
      want = star + 1;
      at = ++afterStar;
    } else {
      return false;
    }
  }
  while (glob[want] === '*') want++;
  return want === glob.length;
}
