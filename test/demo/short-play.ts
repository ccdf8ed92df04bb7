/** `demo/main.ts` with a shorter play: a small fleet, and then the attacks at once. */
import { attackScene, recordTimestamp } from '../../demo/attack-scene.ts';
import { startFleet } from '../../demo/fleet.ts';
import { parseOptions } from '../../demo/options.ts';
import { perform } from '../../demo/perform.ts';
import { openScreen } from '../../demo/open-screen.ts';
import { publish, type Stage, startService } from '../../demo/stage.ts';

async function toTheAttacks(stage: Stage): Promise<never> {
  await startService(stage);
  const plan = { version: '1.0.0', fallback: ['none'], notes: 'What the fleet runs today', adopt: true };
  const factory = await publish(stage, plan);
  const fleet = await startFleet(stage, factory, 3);
  const oldTimestamp = await recordTimestamp(stage, fleet);
  await fleet.stop();
  await attackScene(stage, fleet, { factory, good: factory, oldTimestamp });
  throw new Error('Nobody interrupted the attacks.');
}

process.exit(await perform(parseOptions(process.argv.slice(2)), openScreen(process.stderr), toTheAttacks));
