import { enableCompileCache } from 'node:module';

// Half of the start is compiling. Hence the import below, which comes after.
enableCompileCache();
const { sigstoreClient } = await import('./client.ts');

process.exitCode = await sigstoreClient(process.argv.slice(2), {
  err: (line) => process.stderr.write(`${line}\n`),
});
