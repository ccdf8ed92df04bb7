/** Speaks to the RAUC service on its D-Bus through the `rauc` command. Written against RAUC 1.8. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Refusal } from '../protocol/index.ts';

const run = promisify(execFile);

/** Longest install, in ms: large images on slow flash. */
const INSTALL_MS = 60 * 60 * 1000;
/** Longest other call, in ms. */
const CALL_MS = 60 * 1000;
/** Pause before an install is asked for again while the service is busy with an earlier one, in ms. */
const BUSY_MS = 500;

export interface RaucSlot {
  /** As in system.conf, e.g. `rootfs.0`. */
  name: string;
  class: string;
  booted: boolean;
  /** The boot loader may choose it. */
  good: boolean;
  /** SHA-256 of what RAUC wrote there last, completely; undefined otherwise. */
  checksum: string | undefined;
}

export interface RaucStatus {
  /** Name of the slot that the next boot takes. */
  primary: string;
  booted: RaucSlot;
  other: RaucSlot;
}

export class RaucCommand {
  readonly #env: Record<string, string>;

  constructor(busAddress: string | undefined) {
    this.#env = {
      PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
      ...(busAddress !== undefined ? { DBUS_SYSTEM_BUS_ADDRESS: busAddress } : {}),
    };
  }

  async status(): Promise<RaucStatus> {
    return parseStatus(await this.#call(['status', '--detailed', '--output-format=json'], CALL_MS));
  }

  async mark(state: 'good' | 'bad' | 'active', slot: 'booted' | 'other'): Promise<void> {
    await this.#call(['status', `mark-${state}`, slot], CALL_MS);
  }

  /** Into the inactive slot. The service goes on when the caller dies, so one that is busy is waited for. */
  async install(bundle: string): Promise<void> {
    const end = Date.now() + INSTALL_MS;
    for (;;) {
      try {
        await this.#call(['install', bundle], INSTALL_MS);
        return;
      } catch (error) {
        const busy = error instanceof Refusal && /already processing/i.test(error.message);
        if (!busy || Date.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
      }
    }
  }

  async #call(args: string[], timeout: number): Promise<string> {
    try {
      const { stdout } = await run('rauc', args, { env: this.#env, timeout, maxBuffer: 1024 * 1024 });
      return stdout;
    } catch (error) {
      throw new Refusal('INSTALL_FAILED', `rauc ${args[0]}: ${reasonIn(error)}`, { cause: error });
    }
  }
}

/** RAUC's own last error where there is one, else whatever it said last. */
function reasonIn(error: unknown): string {
  const {
    stderr = '',
    stdout = '',
    message = '',
  } = error as { stderr?: string; stdout?: string; message?: string };
  const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim());
  const last =
    lines.findLast((line) => line.startsWith('LastError:')) ?? lines.findLast((line) => line !== '');
  return (last ?? message).slice(0, 300);
}

interface RawSlot {
  class?: unknown;
  state?: unknown;
  boot_status?: unknown;
  bootname?: unknown;
  slot_status?: { status?: unknown; checksum?: { sha256?: unknown } };
}

function parseStatus(text: string): RaucStatus {
  let raw: { boot_primary?: unknown; slots?: Record<string, RawSlot>[] };
  try {
    raw = JSON.parse(text) as typeof raw;
  } catch (error) {
    throw new Refusal('INSTALL_FAILED', 'rauc status is not JSON', { cause: error });
  }
  const slots = (raw.slots ?? []).flatMap((entry) =>
    Object.entries(entry).map(([name, slot]) => read(name, slot)),
  );
  const booted = slots.find((slot) => slot.booted);
  const other = slots.find((slot) => !slot.booted && slot.class === booted?.class);
  if (!booted || !other)
    throw new Refusal('INSTALL_FAILED', 'rauc knows no booted slot with another beside it');
  return { primary: String(raw.boot_primary), booted, other };
}

function read(name: string, slot: RawSlot): RaucSlot {
  const checksum = slot.slot_status?.checksum?.sha256;
  const complete = slot.slot_status?.status === 'ok' && typeof checksum === 'string';
  return {
    name,
    class: String(slot.class),
    booted: slot.state === 'booted',
    good: slot.boot_status === 'good',
    checksum: complete ? checksum : undefined,
  };
}
