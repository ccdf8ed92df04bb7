import { sigstoreClient } from './client.ts';

process.exitCode = await sigstoreClient(process.argv.slice(2), {
  err: (line) => process.stderr.write(`${line}\n`),
});
