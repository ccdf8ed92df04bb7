import { tufClient } from './client.ts';

process.exitCode = await tufClient(process.argv.slice(2), {
  now: Date.now(),
  err: (line) => process.stderr.write(`${line}\n`),
});
