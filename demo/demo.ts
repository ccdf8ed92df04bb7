/** The scenes of the demo, in order. */
import { setTimeout as delay } from 'node:timers/promises';
import { serviceClient, type ServiceClient } from '@tidegate/server/operator/commands';
import { attackScene, recordTimestamp } from './attack-scene.ts';
import { CHARGERS, type Fleet, startFleet } from './fleet.ts';
import { healthyOn, serviceViews } from './health.ts';
import { tidegateLine } from './hints.ts';
import { startPacer } from './pacer.ts';
import type { Release } from './releases.ts';
import type { Outcome } from './report.ts';
import { everTaken } from './rollout-view.ts';
import { createRollout, follow, type RolloutEnd } from './rollouts.ts';
import { credentialOf, publish, type Stage, startService } from './stage.ts';

const HOUR = 3_600_000;
/** Fleet seconds in one second of the wall: while gathering a baseline, for the rollouts, and while nobody but an attacker is busy. */
const SPEED = { burnIn: 28_800, rollouts: 3600, attacks: 60 } as const;
const BURN_IN_HOURS = 72;
/** Silence that a busy machine may cause: from an hour on it is an event of its charger; a baseline only needs its reports, early or late. */
const TOLERANCE = { burnIn: 12 * HOUR, rollouts: HOUR } as const;
/** A storm that hits everybody, in the canary's soak: fleet-hours after release A is published. */
const STORM = { afterHours: 6, hours: 6, factor: 4 } as const;
/** What release B does to the fault rate of a charger that takes it. */
const BAD_FACTOR = 3;

export async function play(stage: Stage): Promise<Omit<Outcome, 'seed' | 'seconds'>> {
  const service = await startService(stage);
  const factory = await publish(stage, {
    version: '1.0.0',
    fallback: ['none'],
    notes: 'What the fleet runs today',
    adopt: true,
  });
  const fleet = await startFleet(stage, factory);
  const client = serviceClient(await credentialOf(stage));
  stage.atEnd(async () => client.close());
  const oldTimestamp = await recordTimestamp(stage, fleet);
  const pacer = startPacer(client, stage.clock, TOLERANCE.burnIn);
  stage.atEnd(() => pacer.stop());
  await burnIn(stage);

  pacer.tolerance = TOLERANCE.rollouts;
  const good = await goodRelease(stage, client, factory);
  const bad = await badRelease(stage, client, good.release);

  await fleet.stop();
  await pacer.stop();
  stage.clock.setSpeed(SPEED.attacks);
  const healthy = await whoIsHealthy(client, fleet, good);
  const attacks = await attackScene(stage, fleet, { factory, good: good.release, oldTimestamp });
  return {
    image: stage.image.what,
    goodRollout: good.end.view.status,
    badRollout: bad.end.view.status,
    evidence: bad.end.view.evidence?.sentence ?? '',
    chargers: CHARGERS,
    onGood: healthy.length,
    everOnBad: everTaken(bad.end.view),
    attacks,
    restarts: service.restarts,
    slowedSeconds: Math.round(pacer.slowed / 1000),
  };
}

/** Fleet-days in which every charger's own rate becomes known. */
async function burnIn({ clock, screen, signal }: Stage): Promise<void> {
  const from = clock.now();
  clock.setSpeed(SPEED.burnIn);
  for (let hours = 0; hours < BURN_IN_HOURS; hours = (clock.now() - from) / HOUR) {
    const note = `${Math.floor(hours)} of ${BURN_IN_HOURS} fleet-hours`;
    screen.bars([{ label: 'burn-in', state: 'running', share: hours / BURN_IN_HOURS, note }]);
    await delay(100, undefined, { signal });
  }
  clock.setSpeed(SPEED.rollouts);
  screen.end();
  screen.say(
    `Baseline: ${BURN_IN_HOURS} fleet-hours of faults and sessions. From here a second is a fleet-hour.`,
  );
}

interface Played {
  release: Release;
  end: RolloutEnd;
}

async function goodRelease(stage: Stage, client: ServiceClient, factory: Release): Promise<Played> {
  const { screen, clock, scenario } = stage;
  screen.say('Release A, 1.1.0: a good one, with a storm that hits everybody during its canary.');
  const release = await publish(stage, {
    version: '1.1.0',
    fallback: [factory.version],
    notes: 'Better lock handling',
  });
  const from = clock.now() + STORM.afterHours * HOUR;
  await scenario.storm({ from, to: from + STORM.hours * HOUR, factor: STORM.factor });
  return { release, end: await rollOut(stage, client, release, 'better lock handling') };
}

async function badRelease(stage: Stage, client: ServiceClient, good: Release): Promise<Played> {
  stage.screen.say(`Release B, 1.2.0: installs fine, and then has ${BAD_FACTOR} times the faults.`);
  const release = await publish(stage, {
    version: '1.2.0',
    fallback: [good.version],
    notes: 'Faster metering',
  });
  await stage.scenario.bad(release.sha256, BAD_FACTOR);
  return { release, end: await rollOut(stage, client, release, 'faster metering') };
}

async function rollOut(
  stage: Stage,
  client: ServiceClient,
  { version }: Release,
  reason: string,
): Promise<RolloutEnd> {
  const { people, planFile, screen } = stage;
  const { id } = await createRollout(people, version, planFile, reason);
  screen.say(`  alice plans ${id}: canary, two waves, hold-back. Who does what:`);
  screen.command(`  ${tidegateLine('audit', 'list', '--subject', id)}`);
  const end = await follow(id, client, stage);
  screen.say(`  ${end.way.join(' → ')}`);
  return end;
}

async function whoIsHealthy(
  client: ServiceClient,
  fleet: Fleet,
  { release, end }: Played,
): Promise<string[]> {
  return healthyOn(release.sha256, end.view.id, await serviceViews(client), await fleet.ownViews());
}
