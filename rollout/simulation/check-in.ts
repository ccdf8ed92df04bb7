import type { Signal } from '@tidegate/client-sdk/protocol';
import type { SimulatedCharger } from './fleet.ts';
import type { RolloutRun } from './rollout-run.ts';
import { behaviour, type World } from './world.ts';

const HOUR = 3_600_000;

/** One check-in: report health, then go one step along with whatever is wanted, at most to the end of an idle moment. */
export function checkIn(world: World, charger: SimulatedCharger, run: RolloutRun | null): void {
  if (world.now >= charger.silentFrom) return;
  report(world, charger, run);
  if (run !== null) follow(world, charger, run);
}

/** Bins never span an activation: each check-in reports up to now with the image that has run since the last one. */
function report(world: World, charger: SimulatedCharger, run: RolloutRun | null): void {
  const width = world.binMinutes * 60_000;
  const side = run?.side(charger) ?? 'neither';
  while (charger.reportedUpTo < world.now) {
    const from = charger.reportedUpTo;
    const bin = Math.floor(from / width) * width;
    const to = Math.min(world.now, bin + width);
    charger.reportedUpTo = to;
    const { exposure, events } = charger.model.interval(from, to, behaviour(charger.running, from, world));
    const counted: Partial<Record<Signal, number>> = {};
    for (const event of events) {
      if (world.repeats.counts(charger.serial, event))
        counted[event.signal] = (counted[event.signal] ?? 0) + 1;
    }
    if (!world.frozen) world.baselines.add(charger.serial, exposure, counted);
    if (run === null || side === 'neither') continue;
    run.bins.add(bin, charger, side === 'treated', exposure, counted, world.baselines);
    if (side === 'treated') run.addTreatedHours(charger.serial, (to - from) / HOUR);
  }
}

function follow(world: World, charger: SimulatedCharger, run: RolloutRun): void {
  const { serial } = charger;
  const { now } = world;
  const idle = !charger.model.charging(now);
  const tell = (progress: 'STAGED' | 'HEALTHY', leg: 'forward' | 'back') =>
    run.tell(serial, { kind: 'progress', leg, progress }, now);
  switch (run.assignment(serial)?.state) {
    case 'PENDING':
      if (run.mayOffer(charger)) {
        run.tell(serial, { kind: 'offered', deadlineAt: now + run.rollout.plan.deadlineHours * HOUR }, now);
      }
      break;
    case 'OFFERED':
      tell('STAGED', 'forward');
      break;
    case 'STAGED':
      // A session is never interrupted, and a halt closes the live confirmation.
      if (idle && run.rollout.status === 'RUNNING') {
        run.tell(serial, { kind: 'activated' }, now);
        charger.running = run.rollout.release.sha256;
      }
      break;
    case 'VERIFYING':
      tell('HEALTHY', 'forward');
      break;
    case 'ROLLING_BACK':
      if (idle) {
        charger.running = 'A';
        tell('HEALTHY', 'back');
      }
      break;
    default:
      break;
  }
}
