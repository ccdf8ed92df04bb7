import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoryDoorbell, postgresDoorbell, redisDoorbell, SILENT_LOG } from '@tidegate/rollout/shell';
import { emptyDatabase } from '../support/postgres.ts';
import { testRedis, WITHOUT_REDIS, type TestRedis } from '../support/redis.ts';
import { doorbellContract } from './doorbell.ts';

describe('BullMQ on PostgreSQL', () => {
  let url: string;
  beforeAll(async () => {
    ({ url } = await emptyDatabase());
  });
  doorbellContract('BullMQ on PostgreSQL', () => postgresDoorbell(url, SILENT_LOG));
});

describe.skipIf(WITHOUT_REDIS !== undefined && process.env['CI'] !== 'true')(
  `BullMQ on Redis${WITHOUT_REDIS === undefined ? '' : ` (skipped: ${WITHOUT_REDIS})`}`,
  () => {
    let redis: TestRedis;
    beforeAll(async () => {
      expect(WITHOUT_REDIS).toBeUndefined();
      redis = await testRedis();
    });
    afterAll(() => redis?.stop());
    doorbellContract('BullMQ on Redis', () => redisDoorbell(redis.url, SILENT_LOG));

    test('a ring while Redis is away is dropped, not waited for', async () => {
      const lonely = await testRedis();
      const bell = await redisDoorbell(lonely.url, SILENT_LOG);
      await lonely.stop();
      await bell.ring({ organisation: 'acme', id: 'r-1' });
      await bell.close();
    });
  },
);

/** Shared among "processes" of one test by living in one process. */
describe('in memory', () => {
  const bell = (): ReturnType<typeof memoryDoorbell> => memoryDoorbell(SILENT_LOG);
  test('a ring during the work is not lost', async () => {
    const one = bell();
    const ref = { organisation: 'acme', id: 'r-1' };
    let calls = 0;
    const done = new Promise<void>((resolve) => {
      void one.listen(async () => {
        if (++calls === 1) await one.ring(ref);
        else resolve();
      });
    });
    await one.ring(ref);
    await done;
    expect(calls).toBe(2);
    await one.close();
  });
});
