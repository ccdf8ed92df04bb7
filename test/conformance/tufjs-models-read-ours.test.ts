/** What we author is what the types of @tufjs/models hold: each document read into them and written again is the same document. */
import {
  addRelease,
  addSignature,
  bump,
  delegateProduct,
  encode,
  type Metadata as Ours,
  newProductRole,
  newRoot,
  newSnapshot,
  newTargets,
  newTimestamp,
  productRole,
  type Signed,
  topLevelRole,
} from '@tidegate/signer/repository';
import { generateKey } from '@tidegate/signer/keys';
import { Metadata, MetadataKind } from '@tufjs/models';
import { expect, test } from 'vitest';

type JSONObject = ReturnType<Metadata<never>['toJSON']>;

const NOW = Date.UTC(2026, 10, 22);
const PRODUCT = 'acme.dc150';
const people = [generateKey(), generateKey()];
const engineers = [generateKey(), generateKey('ecdsa-sha2-nistp256')];
const online = generateKey();

const quorum = { keys: people, threshold: 2 };
const once = { keys: [online], threshold: 1 };
const root = newRoot({ root: quorum, targets: quorum, snapshot: once, timestamp: once }, NOW);
const targets = delegateProduct(newTargets(NOW), PRODUCT, { keys: engineers, threshold: 2 });
const role = addRelease(newProductRole(NOW), PRODUCT, {
  path: `${PRODUCT}/dc150-1.0.0.raucb`,
  sha256: 'a'.repeat(64),
  length: 9,
  custom: {
    product: PRODUCT,
    version: '1.0.0',
    hardware: ['dc150-r2'],
    securityVersion: 1,
    fallback: [],
    bundles: [],
    notes: '',
    sbom: null,
    cves: [],
  },
});

const jsonOf = (document: Ours<Signed>): JSONObject => JSON.parse(encode(document).toString()) as JSONObject;

test('root, targets, a product role, snapshot and timestamp survive the types of @tufjs/models unchanged', async () => {
  const snapshot = newSnapshot(
    { targets: encode(targets), products: new Map([[PRODUCT, encode(role)]]) },
    1,
    NOW,
  );
  const timestamp = newTimestamp(encode(snapshot), 1, NOW);
  const documents = [
    [MetadataKind.Root, jsonOf(root)],
    [MetadataKind.Targets, jsonOf(targets)],
    [MetadataKind.Targets, jsonOf(role)],
    [MetadataKind.Snapshot, jsonOf(snapshot)],
    [MetadataKind.Timestamp, jsonOf(timestamp)],
  ] as const;
  for (const [kind, json] of documents) expect(readAs(kind, json).toJSON()).toEqual(json);
});

test('@tufjs/models finds our signatures good, and one of two too few', async () => {
  const [first, second] = engineers;
  if (first === undefined || second === undefined) throw new Error('two engineers sign');
  const signedTargets = await signed(targets, people, topLevelRole(root, 'targets'));
  const delegator = readAs(MetadataKind.Targets, jsonOf(signedTargets)) as Metadata<never>;
  const one = await addSignature(bump(role, 'product', NOW), productRole(targets, PRODUCT), first);
  const both = await addSignature(one, productRole(targets, PRODUCT), second);
  expect(() =>
    delegator.verifyDelegate(PRODUCT, readAs(MetadataKind.Targets, jsonOf(one)) as never),
  ).toThrow();
  expect(() =>
    delegator.verifyDelegate(PRODUCT, readAs(MetadataKind.Targets, jsonOf(both)) as never),
  ).not.toThrow();
});

function readAs(kind: MetadataKind, json: JSONObject): { toJSON(): JSONObject } {
  switch (kind) {
    case MetadataKind.Root:
      return Metadata.fromJSON(MetadataKind.Root, json);
    case MetadataKind.Targets:
      return Metadata.fromJSON(MetadataKind.Targets, json);
    case MetadataKind.Snapshot:
      return Metadata.fromJSON(MetadataKind.Snapshot, json);
    case MetadataKind.Timestamp:
      return Metadata.fromJSON(MetadataKind.Timestamp, json);
  }
}

async function signed<T extends Signed>(
  document: Ours<T>,
  signers: typeof people,
  by: ReturnType<typeof topLevelRole>,
): Promise<Ours<T>> {
  let result = document;
  for (const signer of signers) result = await addSignature(result, by, signer);
  return result;
}
