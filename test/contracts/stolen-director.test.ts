/**
 * Whoever holds the director's key has a charger's ear. Once the key is replaced, the charger must be heard again: nothing that it was told
 * may make it say what the service refuses to read, because it would say so in every check-in, for ever.
 */
import { expect, it } from 'vitest';
import type { CheckInAnswer, Directive } from '@tidegate/client-sdk/protocol';
import { testBench } from '../../client-sdk/agent/testing/bench.ts';
import { checkInSchema } from '../../server/device/schemas.ts';

const HOUR = 60 * 60 * 1000;

const lies: Record<
  string,
  { directive?: (said: Directive) => void; answer?: (said: CheckInAnswer) => void }
> = {
  'nothing but the truth': {},
  'an assignment that is not one of the service’s': {
    directive: (said) => said.assignment && (said.assignment = `x.y_z:${'w'.repeat(122)}`),
  },
  'the last second of all years': {
    directive: (said) => {
      said.issuedAt = '9999-12-31T23:59:58Z';
      said.expires = '9999-12-31T23:59:59Z';
    },
  },
  'the first second of all years': {
    directive: (said) => {
      said.issuedAt = '0000-01-01T00:00:00Z';
      said.expires = '0000-01-01T12:00:00Z';
    },
  },
  'a reason that no database holds': {
    directive: (said) => {
      if (said.action !== 'install') return;
      delete said.target;
      Object.assign(said, { action: 'withdraw', reason: '\u0000\ud800\u001b[2J'.repeat(80) });
    },
  },
  'a report number at the end of all numbers': {
    answer: (said) => (said.acknowledged = Number.MAX_SAFE_INTEGER),
  },
  'a report number near the end of all numbers': {
    answer: (said) => (said.acknowledged = Number.MAX_SAFE_INTEGER - 1),
  },
};

it.each(Object.entries(lies))(
  'a charger that was told %s is heard, and updated, afterwards',
  async (_what, lie) => {
    const bench = await testBench();
    const { service, charger } = bench;
    bench.want();
    charger.charging = true;
    await charger.agent.checkInOnce();
    service.tamper = lie;
    for (let i = 0; i < 4; i++) {
      await service.clock.sleep(HOUR);
      await charger.agent.checkInOnce();
    }
    service.tamper = {};
    // Nor what a terminal would obey.
    const told = service.checkIns.map(({ assignment }) => assignment?.detail ?? '');
    expect(told.join('')).not.toMatch(/\p{C}/u);
    service.checkIns.length = 0;
    charger.charging = false;
    // A thief moves a charger's time to where the timestamp expires, and no further. Until then nothing can be done, and nothing is lost.
    await service.clock.sleep(24 * HOUR);
    service.repository.expires.timestamp = 3;
    bench.want('1.3.0');
    for (let i = 0; i < 6; i++) {
      await service.clock.sleep(HOUR);
      await charger.agent.checkInOnce();
    }
    for (const said of service.checkIns) {
      expect(checkInSchema.safeParse(JSON.parse(JSON.stringify(said))).error?.issues ?? []).toEqual([]);
    }
    expect(await charger.runs()).toBe('1.3.0');
  },
);
