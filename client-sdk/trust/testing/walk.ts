import type { Marks } from '../marks.ts';
import { TrustedSet } from '../trusted-set.ts';
import { sha256 } from './keys.ts';
import { custom, IMAGE } from './releases.ts';
import { NOW, PRODUCT, TestRepository } from './repository.ts';

export const IMAGE_PATH = `${PRODUCT}/dc150-1.2.0.raucb`;

/** A published repository with one release. */
export function published(): TestRepository {
  const repository = new TestRepository();
  repository.productTargets[IMAGE_PATH] = {
    length: IMAGE.length,
    hashes: { sha256: sha256(IMAGE) },
    custom: custom(),
  };
  return repository.publish();
}

export function start(repository: TestRepository, marks?: Marks): TrustedSet {
  return TrustedSet.start(repository.file('metadata/1.root.json'), marks);
}

/** Walks everything that the repository has now. */
export function walk(repository: TestRepository, set = start(repository), now = NOW): TrustedSet {
  const { versions } = repository;
  for (let n = set.root.version + 1; n <= versions.root; n++) {
    set.updateRoot(repository.file(`metadata/${n}.root.json`));
  }
  set.updateTimestamp(repository.file('metadata/timestamp.json'), now);
  set.updateSnapshot(repository.file(`metadata/${versions.snapshot}.snapshot.json`), now);
  set.updateTargets(repository.file(`metadata/${versions.targets}.targets.json`), now);
  set.updateProductRole(PRODUCT, repository.file(`metadata/${versions.product}.${PRODUCT}.json`), now);
  return set;
}
