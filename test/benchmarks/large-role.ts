/** One role of ten thousand releases: authored as a release engineer does, verified as a charger does. */
import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { ReleaseTarget } from '@tidegate/client-sdk/protocol';
import { TrustedSet } from '@tidegate/client-sdk/trust';
import { generateKey } from '@tidegate/signer/keys';
import {
  addReleases,
  addSignatures,
  delegateProduct,
  encode,
  type Metadata,
  newProductRole,
  newRoot,
  newSnapshot,
  newTargets,
  newTimestamp,
  productRole,
  type Signed,
  topLevelRole,
} from '@tidegate/signer/repository';

const PRODUCT = 'acme.dc150';
const RELEASES = 10_000;
const NOW = Date.parse('2026-11-22T12:00:00Z');
const REPETITIONS = 7;

export async function measureLargeRole(say: (line: string) => void) {
  const people = [generateKey(), generateKey('ecdsa-sha2-nistp256'), generateKey()];
  const root = newRoot(
    {
      root: { keys: people, threshold: 2 },
      targets: { keys: people, threshold: 2 },
      snapshot: { keys: people.slice(0, 1), threshold: 1 },
      timestamp: { keys: people.slice(0, 1), threshold: 1 },
    },
    NOW,
  );
  const targets = delegateProduct(newTargets(NOW), PRODUCT, { keys: people, threshold: 2 });
  const who = productRole(targets, PRODUCT);
  const releases = Array.from({ length: RELEASES }, (_, n) => release(n));

  const authoring: number[] = [];
  let bytes: Buffer = Buffer.alloc(0);
  for (let i = 0; i < REPETITIONS; i++) {
    const start = performance.now();
    const role = await addSignatures(
      addReleases(newProductRole(NOW), PRODUCT, releases),
      who,
      people.slice(0, 2),
    );
    bytes = encode(role);
    authoring.push(performance.now() - start);
  }

  const signed = async <T extends Signed>(
    document: Metadata<T>,
    role: 'root' | 'targets' | 'snapshot' | 'timestamp',
  ) => {
    const of = topLevelRole(root, role);
    return encode(await addSignatures(document, of, people.slice(0, of.threshold)));
  };
  const top = await signed(targets, 'targets');
  const snapshot = await signed(
    newSnapshot({ targets: top, products: new Map([[PRODUCT, bytes]]) }, 1, NOW),
    'snapshot',
  );
  const set = TrustedSet.start(await signed(root, 'root'));
  set.updateTimestamp(await signed(newTimestamp(snapshot, 1, NOW), 'timestamp'), NOW);
  set.updateSnapshot(snapshot, NOW);
  set.updateTargets(top, NOW);
  const verifying: number[] = [];
  for (let i = 0; i < REPETITIONS; i++) {
    const start = performance.now();
    const role = set.updateProductRole(PRODUCT, bytes, NOW);
    verifying.push(performance.now() - start);
    if (role.targets.size !== RELEASES) throw new Error(`${role.targets.size} targets were verified.`);
  }
  say(`A role of ${RELEASES} releases has ${(bytes.length / 1024 / 1024).toFixed(1)} MiB.`);
  return { author10kMs: median(authoring), verify10kMs: median(verifying) };
}

/** With everything that a release usually says of itself. */
function release(n: number): ReleaseTarget {
  const version = `1.${n}.0`;
  const path = `${PRODUCT}/dc150-${version}.raucb`;
  const side = (file: string) => ({
    path: `${path}.${file}`,
    sha256: sha256(`${file} ${n}`),
    length: 4000 + n,
  });
  const before = { path: `${PRODUCT}/dc150-1.${n - 1}.0.raucb`, sha256: sha256(`image ${n - 1}`) };
  return {
    path,
    sha256: sha256(`image ${n}`),
    length: 50_000_000 + n,
    custom: {
      product: PRODUCT,
      version,
      hardware: ['dc150-r1', 'dc150-r2'],
      securityVersion: Math.floor(n / 100),
      fallback: n === 0 ? [] : [{ ...before, expires: '2027-11-22T00:00:00Z', auto: true }],
      bundles: [side('sigstore.json')],
      notes: `Build ${n}: corrects the meter's rounding, and what build ${n - 1} did to the display.`,
      sbom: side('cdx.json'),
      cves: n % 50 === 0 ? [`CVE-2026-${10_000 + n}`] : [],
    },
  };
}

function sha256(of: string): string {
  return createHash('sha256').update(of).digest('hex');
}

function median(values: number[]): number {
  return Math.round((values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0) * 100) / 100;
}
