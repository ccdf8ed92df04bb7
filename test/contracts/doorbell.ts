/** What every doorbell keeps, whatever queue is behind it. */
import { afterEach, describe, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Doorbell, RolloutRef } from '@tidegate/rollout/shell';

export function doorbellContract(name: string, open: () => Promise<Doorbell>): void {
  describe(`doorbell: ${name}`, () => {
    const bells: Doorbell[] = [];
    const ref = (id: string): RolloutRef => ({ organisation: 'acme', id: `${id}-${++serial}` });
    const bell = async (): Promise<Doorbell> => {
      const opened = await open();
      bells.push(opened);
      return opened;
    };

    afterEach(async () => {
      await Promise.all(bells.splice(0).map((each) => each.close()));
    });

    test('a ring is answered, also one from before anybody listened', async () => {
      const answered: string[] = [];
      const one = await bell();
      const [early, late] = [ref('early'), ref('late')];
      await one.ring(early);
      await one.listen(async ({ id }) => void answered.push(id));
      await one.ring(late);
      await until(() => answered.includes(early.id) && answered.includes(late.id));
    });

    test('a ring during the work is not lost, and one rollout is never worked on twice at a time', async () => {
      const one = await bell();
      const busy = ref('busy');
      let active = 0;
      let most = 0;
      let calls = 0;
      await one.listen(async () => {
        most = Math.max(most, ++active);
        calls++;
        if (calls === 1) await Promise.all([one.ring(busy), one.ring(busy), one.ring(busy)]);
        await sleep(30);
        active--;
      });
      await one.ring(busy);
      await until(() => calls >= 2 && active === 0);
      expect(most).toBe(1);
    });

    test('rings that wait become one', async () => {
      const one = await bell();
      const eager = ref('eager');
      for (let i = 0; i < 20; i++) await one.ring(eager);
      let calls = 0;
      await one.listen(async () => void (await Promise.resolve(calls++)));
      await until(() => calls >= 1);
      const last = ref('last');
      let lastCame = false;
      await one.close();
      const two = await bell();
      await two.listen(async ({ id }) => void (lastCame ||= id === last.id));
      await two.ring(last);
      await until(() => lastCame);
      expect(calls).toBe(1);
    });

    test('after an error it rings again', async () => {
      const one = await bell();
      const poor = ref('poor');
      let calls = 0;
      await one.listen(async () => {
        await Promise.resolve();
        if (++calls === 1) throw new Error('The first attempt fails, as planned.');
      });
      await one.ring(poor);
      await until(() => calls === 2);
    });

    test('another process answers what is rung here', async () => {
      const [ringer, listener] = [await bell(), await bell()];
      const far = ref('far');
      let heard = false;
      await listener.listen(async ({ id }) => void (await Promise.resolve((heard ||= id === far.id))));
      await ringer.ring(far);
      await until(() => heard);
    });
  });
}

let serial = 0;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(10);
}
