/**
 * Five attacks on one charger, by somebody who holds the director's stolen key and stands between the charger and the service. Each runs
 * beside its twin: the same way without the attack, which installs. Both start from a copy of a healthy charger of the fleet, and fetch
 * TUF metadata and images from the running service over TLS.
 */
import { cp, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Identity, httpsTransport, readIdentity, type Transport } from '@tidegate/client-sdk/agent';
import type { CheckInAnswer, Clock, Directive, Envelope, RefusalCode } from '@tidegate/client-sdk/protocol';
import { simulatedCharger } from '@tidegate/rollout/simulation/sdk';
import { signDirective } from '@tidegate/server/device/directive';
import type { Signer } from '@tidegate/signer/keys';
import type { Release } from './releases.ts';

export interface AttackOutcome {
  name: string;
  expected: RefusalCode;
  /** Codes that the charger refused with. */
  seen: string[];
  refused: boolean;
  twinInstalled: boolean;
}

export interface AttackStage {
  identity: Identity;
  /** Folder of a healthy charger of the fleet, which is not running any more. */
  victim: string;
  folder: string;
  service: { url: string; ca: string };
  director: Signer;
  /** Of the director, from the policy. */
  epoch: number;
  clock: Clock;
  signal: AbortSignal;
  /** A `timestamp.json` from before the last releases. */
  oldTimestamp: string;
  /** Newer than what the charger runs, for its hardware. */
  newer: Release;
  /** Newer, for other hardware. */
  foreign: Release;
  /** Older, and on the signed fallback list of what the charger runs. */
  signedWayDown: Release;
  /** Older, and not on it. */
  unsignedWayDown: Release;
}

/** One way of getting a charger to install something. */
interface Approach {
  release: Release;
  /** Whom the directive names; the charger itself unless told. */
  serial?: string;
  timestamp?: string;
  /** Changes the image's bytes on their way. */
  tamper?: boolean;
}

interface Attack {
  name: string;
  expected: RefusalCode;
  attack: Approach;
  twin: Approach;
}

const PASSES = 12;

export async function tryAttacks(
  stage: AttackStage,
  tell: (done: number, total: number) => void,
): Promise<AttackOutcome[]> {
  const attacks = attacksOn(stage);
  const outcomes: AttackOutcome[] = [];
  for (const [index, { name, expected, attack, twin }] of attacks.entries()) {
    const attacked = await approach(stage, `${index}-attack`, attack);
    const unharmed = await approach(stage, `${index}-twin`, twin);
    outcomes.push({
      name,
      expected,
      seen: attacked.codes,
      refused: attacked.codes.includes(expected) && attacked.running === attacked.before,
      twinInstalled: unharmed.running === twin.release.sha256 && unharmed.committed,
    });
    tell(index + 1, attacks.length);
  }
  return outcomes;
}

function attacksOn(stage: AttackStage): Attack[] {
  const { newer, foreign, signedWayDown, unsignedWayDown, oldTimestamp } = stage;
  return [
    {
      name: 'image swapped on its way',
      expected: 'IMAGE_DIGEST',
      attack: { release: newer, tamper: true },
      twin: { release: newer },
    },
    {
      name: 'older TUF metadata replayed',
      expected: 'METADATA_ROLLBACK',
      attack: { release: newer, timestamp: oldTimestamp },
      twin: { release: newer },
    },
    {
      name: 'downgrade that nobody signed',
      expected: 'DOWNGRADE_UNSIGNED',
      attack: { release: unsignedWayDown },
      twin: { release: signedWayDown },
    },
    {
      name: 'directive for another charger',
      expected: 'DIRECTIVE_NOT_MINE',
      attack: { release: newer, serial: `${stage.identity.serial}-NEIGHBOUR` },
      twin: { release: newer },
    },
    {
      name: 'valid release for other hardware',
      expected: 'HARDWARE_MISMATCH',
      attack: { release: foreign },
      twin: { release: newer },
    },
  ];
}

interface Ending {
  before: string | null | undefined;
  running: string | null | undefined;
  /** What runs has proved itself and is not on trial any more. */
  committed: boolean;
  codes: string[];
}

async function approach(stage: AttackStage, name: string, how: Approach): Promise<Ending> {
  const folder = path.join(stage.folder, name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await cp(stage.victim, folder, { recursive: true });
  const client = await readIdentity(path.join(folder, 'state'));
  if (client === undefined) throw new Error(`${stage.victim} is no enrolled charger.`);
  const real = httpsTransport({ service: stage.service.url, ca: stage.service.ca, client });
  const charger = await simulatedCharger({
    identity: stage.identity,
    folder,
    service: stage.service,
    token: undefined,
    clock: stage.clock,
    model: () => IDLE,
    transport: inBetween(stage, how, real),
  });
  const codes = new Set<string>();
  const before = (await charger.installer.status()).booted.image?.sha256;
  try {
    for (let pass = 0; pass < PASSES; pass++) {
      stage.signal.throwIfAborted();
      const { refusals } = await charger.agent.checkInOnce(stage.signal);
      for (const { code } of refusals) codes.add(code);
      const { booted, trial } = await charger.installer.status();
      if (refusals.length > 0 || (booted.image?.sha256 === how.release.sha256 && !trial)) break;
    }
    const { booted, trial } = await charger.installer.status();
    return { before, running: booted.image?.sha256, committed: !trial, codes: [...codes] };
  } finally {
    real.close();
  }
}

/** A charger without a session, so that nothing has to wait. */
const IDLE = { frailty: 1, charging: () => false, interval: () => ({ exposure: {}, events: [] }) };

/** Whoever holds the director's key and the line: answers check-ins in the service's place, and passes the rest on. */
function inBetween(stage: AttackStage, how: Approach, real: Transport): Transport {
  const { identity, director, epoch, clock } = stage;
  const { path: image, sha256, length, version } = how.release;
  let sequence = Math.floor(clock.now() / 1000);
  const say = (nonce: string, action: Directive['action']): Promise<Envelope> => {
    sequence += 1;
    const to = {
      organisation: identity.organisation,
      serial: how.serial ?? identity.serial,
      nonce,
      epoch,
      sequence,
    };
    const target = { path: image, sha256, length, version };
    return signDirective(director, to, { action, assignment: 'stolen', target }, clock.now());
  };
  return {
    async checkIn(body): Promise<CheckInAnswer> {
      const timestamp = how.timestamp ?? (await readText(real, '/tuf/metadata/timestamp.json'));
      return {
        directive: await say(body.nonce, 'install'),
        timestamp,
        rootVersion: body.marks.root,
        acknowledged: body.reports.at(-1)?.sequence ?? 0,
        pollAfter: 900,
      };
    },
    confirm: async (body) => ({ directive: await say(body.nonce, 'activate') }),
    async get(file, options) {
      const answer = await real.get(file, options);
      return how.tamper === true && file.includes(sha256)
        ? { ...answer, body: tampered(answer.body) }
        : answer;
    },
    close: () => real.close(),
  };
}

async function* tampered(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    const copy = Uint8Array.from(chunk);
    copy[0] = (copy[0] ?? 0) ^ 1;
    yield copy;
  }
}

export async function readText(transport: Pick<Transport, 'get'>, file: string): Promise<string> {
  const { status, body } = await transport.get(file);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  if (status !== 200) throw new Error(`${file}: ${status}`);
  return Buffer.concat(chunks).toString('utf8');
}
