/** A right bundle beside the same one with one thing spoilt, so that it is that thing which is refused. */
import { expect } from 'vitest';
import type { Asked, ClientUnderTest } from './client.ts';
import type { Instance, Making, RawBundle } from './instance.ts';
import type { LogEntry } from './log.ts';

export interface Spoilt {
  bundle: RawBundle;
  root: ReturnType<Instance['trustedRoot']>;
  asked: Partial<Asked>;
}

/** Accepted as it is, and refused with file and digest once it is spoilt. */
export async function expectRefused(
  { sigstore, client }: { sigstore: Instance; client: ClientUnderTest },
  how: Making,
  spoil: (right: Spoilt) => unknown,
): Promise<void> {
  const right: Spoilt = { bundle: await sigstore.make(how), root: sigstore.trustedRoot(), asked: {} };
  if (how.key !== undefined) right.asked = { key: how.key.publicKey };
  const ask = (it: Spoilt) => client.verify({ bundle: it.bundle, trustedRoot: it.root, ...it.asked });
  expect(await ask(right), client.said).toEqual([0, 0]);
  await spoil(right);
  expect(await ask(right)).toEqual([1, 1]);
}

export function entryOf({ bundle }: Spoilt): LogEntry {
  const [entry] = bundle.verificationMaterial.tlogEntries;
  if (entry === undefined) throw new Error('the bundle has no log entry');
  return entry;
}
