/**
 * A charger's RAUC on this machine: the real service on a private D-Bus, two raw files as slots, a keyring of its own, and a boot
 * loader that is a small script with its state in files. Touches nothing of the machine's own RAUC or D-Bus, and ends with this process,
 * however that ends.
 */
import { execFile, execFileSync } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type GuardedProcess, spawnGuarded } from './guarded-process.ts';

const run = promisify(execFile);

export interface RaucTestbed {
  busAddress: string;
  /** Paths of the two slots, by name. */
  slots: { A: string; B: string };
  /** A signed `plain` bundle around a file; its path. */
  makeBundle(image: string, version: string): Promise<string>;
  /** Plays the boot loader and starts the service as that boot would. Returns the slot that runs now. */
  boot(): Promise<'A' | 'B'>;
  /** Differs with every boot. */
  bootId(): Promise<string>;
  /** Ends the processes that it started; they end by themselves with this process. The folder stays. */
  stop(): Promise<void>;
}

export interface RaucTestbedOptions {
  /** `compatible` of system and bundles. */
  compatible?: string;
  /** Bytes of each slot. */
  slotBytes?: number;
  /** As a careless system.conf would have it. */
  activateInstalled?: boolean;
  /** Gives up starting. */
  signal?: AbortSignal;
}

/** Why RAUC cannot be tried here, or undefined when it can. */
export function raucMissing(): string | undefined {
  for (const tool of ['rauc', 'mksquashfs', 'dbus-daemon', 'openssl']) {
    try {
      execFileSync('sh', ['-c', 'command -v "$0"', tool], { stdio: 'ignore' });
    } catch {
      return `${tool} is not installed (apt-get install rauc squashfs-tools dbus openssl)`;
    }
  }
  // The service mounts bundles.
  return process.getuid?.() === 0 ? undefined : 'RAUC mounts bundles, which only root may';
}

/** @param folder exists and is empty */
export async function startRaucTestbed(
  folder: string,
  options: RaucTestbedOptions = {},
): Promise<RaucTestbed> {
  const {
    compatible = 'tidegate-testbed',
    slotBytes = 16 * 1024 * 1024,
    activateInstalled = false,
    signal,
  } = options;
  const at = (name: string): string => join(folder, name);
  const slots = { A: at('slot-a'), B: at('slot-b') };
  await mkdir(at('mnt'));
  for (const slot of Object.values(slots)) {
    await writeFile(slot, '');
    await truncate(slot, slotBytes);
  }
  await makeKey(at('key.pem'), at('ca.pem'));
  await writeFile(at('boot.sh'), BOOT_SCRIPT);
  await chmod(at('boot.sh'), 0o755);
  for (const [name, value] of Object.entries({
    primary: 'A',
    'state.A': 'good',
    'state.B': 'bad',
    boots: '0',
  })) {
    await writeFile(at(name), value);
  }
  await writeFile(at('system.conf'), systemConf(folder, { compatible, activateInstalled, slots }));
  await writeFile(at('bus.conf'), BUS_CONF);

  // A socket's path is at most 107 bytes, and the folder may lie deep.
  const socketFolder = await mkdtemp(join(tmpdir(), 'tg-bus-'));
  const busAddress = `unix:path=${join(socketFolder, 'bus')}`;
  const bus = spawnGuarded('dbus-daemon', [
    `--config-file=${at('bus.conf')}`,
    '--nofork',
    `--address=${busAddress}`,
  ]);
  const start = (slot: 'A' | 'B'): Promise<GuardedProcess> => startService(folder, busAddress, slot, signal);
  let service: GuardedProcess | undefined;
  const stop = async (): Promise<void> => {
    await service?.stop();
    await bus.stop();
    await rm(socketFolder, { recursive: true, force: true });
  };
  try {
    service = await start('A');
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    busAddress,
    slots,
    async makeBundle(image, version) {
      const content = await mkdtemp(at('content-'));
      await copyFile(image, join(content, 'firmware.img'));
      await writeFile(join(content, 'manifest.raucm'), manifest(compatible, version));
      const bundle = `${content}.raucb`;
      const keys = [`--cert=${at('ca.pem')}`, `--key=${at('key.pem')}`, `--keyring=${at('ca.pem')}`];
      await run('rauc', ['bundle', ...keys, content, bundle]);
      await rm(content, { recursive: true });
      return bundle;
    },
    async boot() {
      await service?.stop();
      const { stdout } = await run(at('boot.sh'), ['play-boot-loader']);
      const slot = stdout.trim() === 'B' ? 'B' : 'A';
      service = await start(slot);
      return slot;
    },
    bootId: async () => (await readFile(at('boots'), 'utf8')).trim(),
    stop,
  };
}

async function startService(
  folder: string,
  busAddress: string,
  slot: 'A' | 'B',
  signal: AbortSignal | undefined,
): Promise<GuardedProcess> {
  const env = { PATH: process.env['PATH'] ?? '', DBUS_SYSTEM_BUS_ADDRESS: busAddress };
  const words = ['-c', join(folder, 'system.conf'), 'service', `--override-boot-slot=${slot}`];
  for (let tries = 0; ; tries++) {
    signal?.throwIfAborted();
    const service = spawnGuarded('rauc', words, { env, mountPoint: join(folder, 'mnt', 'bundle') });
    if (await answers(env, service, signal)) return service;
    await service.stop();
    if (tries === 4)
      throw new Error('the RAUC service does not start; see `rauc service` with the same system.conf');
  }
}

/** The bus needs a moment, and the service another. */
async function answers(
  env: Record<string, string>,
  service: GuardedProcess,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  for (let tries = 0; tries < 50 && service.runs; tries++) {
    if (signal?.aborted === true) return false;
    try {
      await run('rauc', ['status', '--output-format=json'], { env });
      return true;
    } catch {
      await delay(50);
    }
  }
  return false;
}

async function makeKey(key: string, certificate: string): Promise<void> {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const out = ['-keyout', key, '-out', certificate, '-days', '3650', '-subj', '/CN=tidegate-testbed'];
  await run('openssl', ['req', '-x509', ...curve, ...out]);
}

const manifest = (compatible: string, version: string): string => `[update]
compatible=${compatible}
version=${version}

[bundle]
format=plain

[image.rootfs]
filename=firmware.img
`;

function systemConf(
  folder: string,
  {
    compatible,
    activateInstalled,
    slots,
  }: { compatible: string; activateInstalled: boolean; slots: RaucTestbed['slots'] },
): string {
  return `[system]
compatible=${compatible}
bundle-formats=plain
bootloader=custom
statusfile=${folder}/rauc.status
mountprefix=${folder}/mnt
activate-installed=${activateInstalled}

[keyring]
path=${folder}/ca.pem
use-bundle-signing-time=true

[handlers]
bootloader-custom-backend=${folder}/boot.sh

[slot.rootfs.0]
device=${slots.A}
type=raw
bootname=A

[slot.rootfs.1]
device=${slots.B}
type=raw
bootname=B
`;
}

const BUS_CONF = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`;

/**
 * RAUC's custom boot loader backend, and the boot loader itself. An activated slot gets one try; `good` from RAUC means that it is no
 * trial any more.
 */
const BOOT_SCRIPT = `#!/bin/sh
set -e
cd "$(dirname "$0")"
put() { printf %s "$2" > "$1.new" && mv "$1.new" "$1"; }
other() { if [ "$1" = A ]; then echo B; else echo A; fi; }
case "$1" in
  get-primary) p=$(cat primary); if [ "$(cat "state.$p")" = good ]; then echo "$p"; else other "$p"; fi ;;
  set-primary) put "tries.$2" 1; put "state.$2" good; put primary "$2" ;;
  get-state) cat "state.$2" ;;
  set-state) rm -f "tries.$2"; put "state.$2" "$3" ;;
  play-boot-loader)
    put boots $(( $(cat boots) + 1 ))
    slot=$(cat primary)
    if [ -f "tries.$slot" ]; then
      tries=$(cat "tries.$slot")
      if [ "$tries" -gt 0 ]; then put "tries.$slot" $(( tries - 1 )); else put "state.$slot" bad; fi
    fi
    if [ "$(cat "state.$slot")" != good ]; then slot=$(other "$slot"); put primary "$slot"; fi
    echo "$slot" ;;
  *) exit 1 ;;
esac
`;
