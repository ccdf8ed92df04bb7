/** A host that speaks through commands, for charger software in any language. Each runs without a shell and with a deadline. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { LIMITS, SIGNALS } from '../protocol/index.ts';
import type { HealthEvent } from '../protocol/index.ts';
import { bootSelect } from '../install/index.ts';
import type { HealthMaterial, Host } from './host.ts';
import { rfc3339 } from './health-buffer.ts';
import type { HostCommands, InstallerConfig } from './provisioning.ts';

const run = promisify(execFile);

/** Longest answer of the charger's software, in ms. */
const PATIENCE = 30_000;
const HOUR = 60 * 60 * 1000;

/** @param installer with `simulateBoot`, a reboot plays the boot loader instead of running a command */
export function commandHost(commands: HostCommands, installer: InstallerConfig): Host {
  return {
    // What cannot say that it is idle counts as charging: nothing is interrupted by mistake.
    isCharging: async () => (await exitCode(commands.charging)) !== 1,
    healthy: async () => (await exitCode(commands.healthy)) === 0,
    async reboot() {
      if (installer.kind === 'slot-files' && installer.simulateBoot) await bootSelect(installer.folder);
      else if (commands.reboot) await output(commands.reboot);
    },
    async collect(from, to) {
      if (!commands.collect) return { exposure: { chargerHours: (to - from) / HOUR }, events: [] };
      return readMaterial(await output([...commands.collect, rfc3339(from), rfc3339(to)]));
    },
  };
}

async function exitCode(command: string[]): Promise<number | undefined> {
  try {
    await output(command);
    return 0;
  } catch (error) {
    const { code } = error as { code?: unknown };
    return typeof code === 'number' ? code : undefined;
  }
}

async function output([file = '', ...args]: string[]): Promise<string> {
  const { stdout } = await run(file, args, { timeout: PATIENCE, maxBuffer: 1024 * 1024 });
  return stdout;
}

/** Takes what is well-formed and leaves the rest: a stranger's bug must not stop the update that repairs it. */
function readMaterial(text: string): HealthMaterial {
  let value: { exposure?: unknown; events?: unknown } | null;
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    return { exposure: {}, events: [] };
  }
  const units = new Set<string>(Object.values(SIGNALS).map((signal) => signal.exposure));
  const amounts = Object.entries((value?.exposure ?? {}) as Record<string, unknown>).filter(
    ([unit, amount]) =>
      units.has(unit) && typeof amount === 'number' && amount >= 0 && Number.isFinite(amount),
  );
  const events = Array.isArray(value?.events) ? (value.events as unknown[]) : [];
  return {
    exposure: Object.fromEntries(amounts),
    events: events.filter(isEvent).slice(0, LIMITS.eventsPerReport),
  };
}

function isEvent(value: unknown): value is HealthEvent {
  const event = value as Partial<Record<keyof HealthEvent, unknown>> | null;
  return (
    typeof event?.at === 'string' &&
    !Number.isNaN(Date.parse(event.at)) &&
    typeof event.code === 'string' &&
    event.code.length <= 64 &&
    typeof event.signal === 'string' &&
    Object.hasOwn(SIGNALS, event.signal) &&
    (event.severity === undefined || (Number.isInteger(event.severity) && (event.severity as number) >= 0))
  );
}
