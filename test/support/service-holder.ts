/** Runs `tidegate start` alone, so that a test can kill the process that holds it. */
import { Command } from 'commander';
import { startCommand } from '@tidegate/server/start/command';

const program = new Command('tidegate').addCommand(
  startCommand({
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    json: true,
    env: process.env,
    cwd: process.cwd(),
    tty: false,
  }),
);
await program.parseAsync(['start'], { from: 'user' });
