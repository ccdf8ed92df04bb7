/** The scenes of the demo, in order. */
import { setTimeout as delay } from 'node:timers/promises';
import { serviceClient } from '@tidegate/server/operator/commands';
import { attackScene, recordTimestamp } from './attack-scene.ts';
import { CHARGERS, startFleet } from './fleet.ts';
import type { Release } from './releases.ts';
import type { Outcome } from './report.ts';
import { createRollout, everTaken, follow, type RolloutEnd } from './rollouts.ts';
import { credentialOf, publish, type Stage, startService } from './stage.ts';

const HOUR = 3_600_000;
/** Fleet seconds in one second of the wall: while gathering a baseline, and for the rollouts. */
const SPEED = { burnIn: 28_800, rollouts: 3600 } as const;
const BURN_IN_HOURS = 72;
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
  const oldTimestamp = await recordTimestamp(stage, fleet);
  await burnIn(stage);

  const good = await goodRelease(stage, factory);
  const bad = await badRelease(stage, good.release);
  const running = await whatRuns(stage);

  await fleet.stop();
  const attacks = await attackScene(stage, fleet, { factory, good: good.release, oldTimestamp });
  return {
    image: stage.image.what,
    goodRollout: good.end.view.status,
    badRollout: bad.end.view.status,
    evidence: bad.end.view.evidence?.sentence ?? '',
    chargers: CHARGERS,
    onGood: running.filter((sha256) => sha256 === good.release.sha256).length,
    everOnBad: everTaken(bad.end.view),
    attacks,
    restarts: service.restarts,
  };
}

/** Fleet-days in which every charger's own rate becomes known. */
async function burnIn({ clock, screen, signal }: Stage): Promise<void> {
  const from = clock.now();
  clock.setSpeed(SPEED.burnIn);
  for (let hours = 0; hours < BURN_IN_HOURS; hours = (clock.now() - from) / HOUR) {
    const note = `${Math.floor(hours)} of ${BURN_IN_HOURS} fleet-hours`;
    screen.bars([{ label: 'burn-in', share: hours / BURN_IN_HOURS, note }]);
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

async function goodRelease(stage: Stage, factory: Release): Promise<Played> {
  const { screen, clock, scenario } = stage;
  screen.say('Release A, 1.1.0: a good one, with a storm that hits everybody during its canary.');
  const release = await publish(stage, {
    version: '1.1.0',
    fallback: [factory.version],
    notes: 'Better lock handling',
  });
  const from = clock.now() + STORM.afterHours * HOUR;
  await scenario.storm({ from, to: from + STORM.hours * HOUR, factor: STORM.factor });
  return { release, end: await rollOut(stage, release, 'better lock handling') };
}

async function badRelease(stage: Stage, good: Release): Promise<Played> {
  stage.screen.say(`Release B, 1.2.0: installs fine, and then has ${BAD_FACTOR} times the faults.`);
  const release = await publish(stage, {
    version: '1.2.0',
    fallback: [good.version],
    notes: 'Faster metering',
  });
  await stage.scenario.bad(release.sha256, BAD_FACTOR);
  return { release, end: await rollOut(stage, release, 'faster metering') };
}

async function rollOut(stage: Stage, { version }: Release, reason: string): Promise<RolloutEnd> {
  const { people, planFile, screen, signal } = stage;
  const { id } = await createRollout(people, version, planFile, reason);
  screen.say(`  alice plans ${id}: canary, two waves, hold-back.`);
  const service = serviceClient(await credentialOf(stage));
  try {
    const end = await follow(id, people, service, screen, signal);
    screen.say(`  ${end.way.join(' → ')}`);
    return end;
  } finally {
    service.close();
  }
}

/** Digest that each charger says it runs. */
async function whatRuns({ people }: Stage): Promise<(string | null)[]> {
  const { chargers } = await people.as<{ chargers: { running: { sha256: string | null } | null }[] }>(
    'alice',
    'fleet',
    'list',
  );
  return chargers.map(({ running }) => running?.sha256 ?? null);
}
