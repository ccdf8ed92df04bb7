/** The next policy, signed by two holders of targets keys, in the engineers' working copy: as a ceremony leaves it there. */
import path from 'node:path';
import { createHash } from 'node:crypto';
import { POLICY_TARGET, type ProductPolicy, type TrustPolicy } from '@tidegate/client-sdk/protocol';
import { parsePolicy } from '@tidegate/client-sdk/trust';
import { openKeyFile, passphraseIn } from '@tidegate/signer/keys';
import {
  addSignature,
  addTarget,
  bump,
  readWorkingCopy,
  topLevelRole,
  writeDocument,
  writeTrustFile,
} from '@tidegate/signer/repository';

export async function signPolicy(
  home: string,
  now: number,
  edit: (policy: TrustPolicy) => TrustPolicy,
): Promise<void> {
  const folder = path.join(home, 'repository');
  const { root, targets, policy } = await readWorkingCopy(folder);
  const bytes = Buffer.from(JSON.stringify({ ...edit(policy), version: policy.version + 1 }));
  parsePolicy(bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const listed = addTarget(targets.metadata, POLICY_TARGET, { sha256, length: bytes.length });
  let signed = bump(listed, 'targets', now);
  const role = topLevelRole(root.metadata, 'targets');
  for (const person of ['erin', 'frank']) {
    const keys = path.join(home, 'keys', person);
    const key = await openKeyFile(path.join(keys, 'targets.key.json'), await passphraseIn(keys));
    signed = await addSignature(signed, role, key);
  }
  await writeTrustFile(folder, POLICY_TARGET, bytes);
  await writeDocument(folder, 'targets', signed);
}

/** The same with one product changed. */
export function withProduct(
  product: string,
  edit: (policy: ProductPolicy) => Partial<ProductPolicy>,
): (policy: TrustPolicy) => TrustPolicy {
  return (policy) => {
    const before = policy.products[product];
    if (before === undefined) throw new Error(product);
    return { ...policy, products: { ...policy.products, [product]: { ...before, ...edit(before) } } };
  };
}
