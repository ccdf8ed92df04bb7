/** The end of a ceremony: what is written where all have signed. */
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import {
  delegationOf,
  parsePolicy,
  parseTargets,
  TrustedSet,
  verifyThreshold,
} from '@tidegate/client-sdk/trust';
import { type Commit, encode, type Metadata } from '../repository/index.ts';
import { nameOf, productsIn } from './authority.ts';
import { afterState, type CheckedCeremony } from './check.ts';
import { CeremonyError } from './errors.ts';

/**
 * @returns the documents and files to write, which count together.
 * @throws CeremonyError `SIGNATURE_MISSING` with the names of those who may still sign, `SIGNATURE_WRONG`, `SIGNATURE_DOUBLE`,
 *   `SIGNATURE_STRANGER`; Refusal where a charger would refuse the result.
 */
export function finishCeremony(checked: CheckedCeremony): Commit {
  requireSignatures(checked);
  requireChargersFollow(checked);
  const { root, targets, policy, sigstoreRoot, products } = checked.file.after;
  return {
    trustFiles: {
      ...(policy === undefined ? {} : { [POLICY_TARGET]: policy }),
      ...(sigstoreRoot === undefined ? {} : { [SIGSTORE_ROOT_TARGET]: sigstoreRoot }),
    },
    documents: {
      ...products,
      ...(targets === undefined ? {} : { targets }),
      ...(root === undefined ? {} : { root }),
    },
  };
}

function requireSignatures({ documents, after, before }: CheckedCeremony): void {
  for (const { name, faults } of documents) {
    for (const { code, who } of faults) throw new CeremonyError(code, `${who} under ${name}`);
  }
  const lacking = documents.flatMap(({ name, quorums }) =>
    quorums
      .filter(({ status }) => !status.complete)
      .map(({ who, status }) => {
        const authority = who === 'today' && before !== undefined ? before : after;
        const missing = status.missing.map((keyId) => nameOf(authority, keyId)).join(', ');
        return `${name} lacks ${status.threshold - status.signed.length} of ${missing}`;
      }),
  );
  if (lacking.length > 0) throw new CeremonyError('SIGNATURE_MISSING', [...new Set(lacking)].join('; '));
}

/** With the charger's own code, from the root that chargers have. Snapshot and timestamp are the service's to sign, which walks the rest. */
function requireChargersFollow({ file, after }: CheckedCeremony): void {
  const state = afterState(file);
  const set = TrustedSet.start(encode(file.before?.root ?? state.root));
  if (file.before !== undefined && file.after.root !== undefined) set.updateRoot(encode(state.root));
  const { keys, roles } = set.root;
  verifyThreshold(state.targets, keys, roles.targets.keyids, roles.targets.threshold);
  const targets = parseTargets(encode(state.targets)).signed;
  for (const product of productsIn(after)) {
    const { keyids, threshold } = delegationOf(targets, product);
    const role: Metadata | undefined = state.products[product];
    if (role === undefined) continue;
    parseTargets(encode(role));
    verifyThreshold(role, targets.delegations?.keys ?? new Map(), keyids, threshold);
  }
  parsePolicy(Buffer.from(state.policy));
}
