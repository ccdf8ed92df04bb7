/**
 * The update agent inside a charger's firmware. `runUpdates` is all that a firmware needs to call; what is below it plays a board,
 * so that this file can be tried: node charger-firmware.ts charger.json [token]
 */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  Agent,
  clockFrom,
  enrol,
  type Host,
  httpsTransport,
  parseProvisioning,
  readIdentity,
} from '@tidegate/client-sdk/agent';
import { bootSelect, provisionSlots, slotFiles } from '@tidegate/client-sdk/install';
import { diskFiles } from '@tidegate/client-sdk/trust';

export async function runUpdates(file: string, board: Host, token: string, stop: AbortSignal): Promise<void> {
  const charger = parseProvisioning(JSON.parse(await readFile(file, 'utf8')), dirname(file));
  const service = { service: charger.service, ca: await readFile(charger.serviceCa, 'utf8') };
  // Once in a charger's life: a key that never leaves it, and a certificate for that key.
  const client =
    (await readIdentity(charger.state)) ??
    (await enrol({
      provisioning: charger,
      folder: charger.state,
      token,
      transport: httpsTransport(service),
    }));
  const { installer } = charger;
  if (installer.kind !== 'slot-files') throw new Error('This board has slot files.');
  await provisionSlots(installer.folder, charger.factory);
  const transport = httpsTransport({ ...service, client });
  const agent = new Agent({
    identity: { ...charger, root: await readFile(charger.root) },
    files: diskFiles(charger.state),
    installer: slotFiles(installer.folder), // or rauc({ … }) from '@tidegate/client-sdk/install/rauc'
    host: board,
    transport,
    clock: clockFrom(process.env),
    onEvent: (news) => log(news.type === 'phase' ? news.phase : news.refusal.message),
  });
  try {
    await agent.run(stop);
  } finally {
    transport.close();
  }
}

/** A board without hardware: never charging, always healthy, no faults; a reboot only plays the boot loader. */
function toyBoard(slots: string): Host {
  return {
    isCharging: () => false,
    healthy: async () => true,
    reboot: async () => void (await bootSelect(slots)),
    // What happened in a span of time: exposure, and events such as connector faults.
    collect: (from, to) => ({ exposure: { chargerHours: (to - from) / 3_600_000 }, events: [] }),
  };
}

function log(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (import.meta.main) {
  const [file = 'charger.json', token = ''] = process.argv.slice(2);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  log('running');
  await runUpdates(file, toyBoard(`${dirname(file)}/slots`), token, stop.signal);
}
