/** Starts an embedded PostgreSQL in the folder of its argument, says its address, and holds it until killed. */
import { startEmbeddedPostgres } from '@tidegate/server/db';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('Name a folder.');
const postgres = await startEmbeddedPostgres(folder);
process.stdout.write(`${postgres.url}\n`);
process.stdin.resume();
