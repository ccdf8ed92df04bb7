import { enableCompileCache } from 'node:module';

// Half of the start is compiling. Hence the import below, which comes after.
enableCompileCache();
const { tufClient } = await import('./client.ts');

process.exitCode = await tufClient(process.argv.slice(2), {
  now: Date.now(),
  err: (line) => process.stderr.write(`${line}\n`),
});
