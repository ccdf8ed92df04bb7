/** The image that a simulated charger left the factory with: fetched once for the fleet, linked into each charger's slot. */
import { createWriteStream, existsSync } from 'node:fs';
import { copyFile, link, rename } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Transport } from '@tidegate/client-sdk/agent';
import { consistentTargetPath } from '@tidegate/client-sdk/protocol';

export interface FactoryImage {
  /** TUF path of the release. */
  path: string;
  sha256: string;
  /** Where the fleet keeps its one copy. */
  folder: string;
}

/** Puts the image at `slot` if nothing is there. Slots are replaced and never written in place, so that they may share one file. */
export async function placeFactoryImage(
  image: FactoryImage,
  slot: string,
  transport: Pick<Transport, 'get'>,
): Promise<void> {
  if (existsSync(slot)) return;
  const kept = path.join(image.folder, `factory-${image.sha256}`);
  if (!existsSync(kept)) await fetchInto(kept, image, transport);
  await link(kept, slot).catch(() => copyFile(kept, slot));
}

async function fetchInto(
  file: string,
  image: FactoryImage,
  transport: Pick<Transport, 'get'>,
): Promise<void> {
  const { status, body } = await transport.get(
    `/tuf/targets/${consistentTargetPath(image.path, image.sha256)}`,
  );
  const part = `${file}.${process.pid}-${Math.random().toString(36).slice(2)}`;
  await pipeline(body, createWriteStream(part, { mode: 0o600 }));
  if (status !== 200) throw new Error(`The factory image ${image.path} cannot be fetched: ${status}.`);
  await rename(part, file);
}
