/** Sets up the attacks: three more releases, a stolen key, and a timestamp from earlier. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { httpsTransport, readIdentity } from '@tidegate/client-sdk/agent';
import { openKeyFile } from '@tidegate/signer/keys';
import { type AttackOutcome, readText, tryAttacks } from './attacks.ts';
import { type Fleet, rootFile } from './fleet.ts';
import { HARDWARE, OTHER_HARDWARE, PRODUCT, type Release } from './releases.ts';
import { credentialOf, publish, type Stage } from './stage.ts';

/** The repository's `timestamp.json` as it is now: an attacker keeps it. */
export async function recordTimestamp(stage: Stage, { victim }: Fleet): Promise<string> {
  const { service, ca } = await credentialOf(stage);
  const client = await readIdentity(path.join(victim, 'state'));
  if (client === undefined) throw new Error(`${victim} is no enrolled charger.`);
  const transport = httpsTransport({ service, ca, client });
  try {
    return await readText(transport, '/tuf/metadata/timestamp.json');
  } finally {
    transport.close();
  }
}

export async function attackScene(
  stage: Stage,
  fleet: Fleet,
  known: { factory: Release; good: Release; oldTimestamp: string },
): Promise<AttackOutcome[]> {
  const { screen, home } = stage;
  screen.say('Attacks: the director key is stolen, and somebody stands between a charger and the service.');
  const unsignedWayDown = await publish(stage, {
    version: '1.0.5',
    fallback: ['none'],
    notes: 'Older, on no list',
  });
  const foreign = await publish(stage, {
    version: '1.3.0',
    hardware: OTHER_HARDWARE,
    fallback: ['none'],
    notes: 'For other hardware',
  });
  const newer = await publish(stage, {
    version: '1.3.1',
    fallback: [known.good.version],
    notes: 'A good one',
  });
  const { organisation, service, ca } = await credentialOf(stage);
  const online = path.join(home, 'service', 'online');
  const passphrase = (await readFile(path.join(online, 'passphrase'), 'utf8')).trim();
  const outcomes = await tryAttacks(
    {
      identity: {
        organisation,
        product: PRODUCT,
        hardware: HARDWARE,
        serial: path.basename(fleet.victim),
        securityFloor: 0,
        buildTime: new Date(0).toISOString(),
        factory: { sha256: known.factory.sha256, version: known.factory.version, securityVersion: 1 },
        healthDeadline: 600,
        healthBin: 3600,
        root: await readFile(rootFile(stage)),
      },
      victim: fleet.victim,
      folder: path.join(stage.folder, 'attacks'),
      service: { url: service, ca },
      director: await openKeyFile(path.join(online, 'director.key.json'), passphrase),
      epoch: 1,
      clock: stage.time,
      signal: stage.signal,
      oldTimestamp: known.oldTimestamp,
      newer,
      foreign,
      signedWayDown: known.factory,
      unsignedWayDown,
    },
    (done, total) =>
      screen.bars([
        { label: 'attacks', state: 'running', share: done / total, note: `${done} of ${total} tried` },
      ]),
  );
  screen.end();
  return outcomes;
}
