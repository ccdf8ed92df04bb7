/** `npm run demo`: the main job on one machine, and five attacks. */
import { play } from './demo.ts';
import { parseOptions } from './options.ts';
import { perform } from './perform.ts';
import { openScreen } from './open-screen.ts';

const options = parseOptions(process.argv.slice(2));
// With --json standard output holds the verdict and nothing else.
const screen = openScreen(options.json ? process.stderr : process.stdout);
// By name, because work that was interrupted may still hold a timer or a connection.
process.exit(await perform(options, screen, play));
