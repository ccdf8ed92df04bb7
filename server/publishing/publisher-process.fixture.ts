/** A process that publishes what it is sent, one publication after the other: a replica of the service, as far as publishing goes. */
import { createPrivateKey } from 'node:crypto';
import process from 'node:process';
import { privateKeyOf } from '@tidegate/signer/keys';
import { fileBlobs } from '@tidegate/signer/repository';
import { openDatabase } from '../db/index.ts';
import { type Publication, publish } from './index.ts';

export interface Orders {
  url: string;
  tuf: string;
  staging: string;
  now: number;
  /** PEM. */
  keys: { snapshot: string; timestamp: string };
  publications: Publication[];
}

process.once('message', (orders: Orders) => {
  carryOut(orders).then(
    (versions) => process.send?.({ versions }, () => process.disconnect()),
    (error: unknown) => process.send?.({ error: String(error) }, () => process.disconnect()),
  );
});

async function carryOut({ url, tuf, staging, now, keys, publications }: Orders): Promise<unknown[]> {
  const db = openDatabase(url, { connections: 2 });
  try {
    const open = (pem: string) => privateKeyOf(createPrivateKey(pem));
    const deps = {
      organisation: 'acme',
      db,
      blobs: fileBlobs(tuf),
      staging,
      keys: { snapshot: open(keys.snapshot), timestamp: open(keys.timestamp) },
      clock: { now: () => now, sleep: () => Promise.resolve() },
    };
    const published: unknown[] = [];
    for (const publication of publications) {
      const by = { name: `process ${process.pid}`, reason: 'r', source: 's' };
      published.push((await publish(deps, publication, by)).versions.roles);
    }
    return published;
  } finally {
    await db.destroy();
  }
}
