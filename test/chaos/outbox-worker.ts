/**
 * A worker that looks at one rollout, in a process of its own, and kills that process with SIGKILL the moment PostgreSQL has answered
 * its n-th query that counts: `node outbox-worker.ts <database url> <rollout id> <fleet's time in ms> <n>`.
 *
 * What counts are the queries that may change something, and the first read after one, which is the moment after its commit. A read after
 * a read finds the database as the one before found it.
 */
import type { KyselyPlugin } from 'kysely';
import { memoryDoorbell, NOTHING_EXPIRES, SILENT_LOG, work } from '@tidegate/rollout/shell';
import { openDatabase, PgRolloutStore } from '@tidegate/server/db';
import { ORGANISATION } from '../support/fleet.ts';

const [url = '', id = '', now = '0', last = '0'] = process.argv.slice(2);
let queries = 0;
let read = true;
const reads = new WeakSet<object>();
const killer: KyselyPlugin = {
  transformQuery: ({ node, queryId }) => {
    if (node.kind === 'SelectQueryNode') reads.add(queryId);
    return node;
  },
  transformResult: ({ result, queryId }) => {
    const readBefore = read;
    read = reads.has(queryId);
    if (!(read && readBefore) && ++queries === Number(last)) process.kill(process.pid, 'SIGKILL');
    return Promise.resolve(result);
  },
};
const db = openDatabase(url, { connections: 2 });
const clock = { now: () => Number(now), sleep: () => Promise.resolve() };
const store = new PgRolloutStore(db.withPlugin(killer), clock);
await work(
  { organisation: ORGANISATION, id },
  { store, doorbell: memoryDoorbell(SILENT_LOG), clock, lifetimes: NOTHING_EXPIRES, log: SILENT_LOG },
);
await db.destroy();
