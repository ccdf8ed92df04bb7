import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../protocol/index.ts';
import type { HealthEvent } from '../protocol/index.ts';
import {
  acknowledged,
  closed,
  emptyBuffer,
  opened,
  REPORTS_KEPT,
  rfc3339,
  sending,
  sent,
} from './health-buffer.ts';
import type { HealthBuffer } from './health-buffer.ts';

const event = (at: number): HealthEvent => ({ at: rfc3339(at), signal: 'fault', code: 'x' });
const bins = (count: number, from: HealthBuffer = opened(emptyBuffer(), 0, null)): HealthBuffer => {
  let buffer = from;
  for (let i = 0; i < count; i++) {
    const at = (buffer.from ?? 0) + 1000;
    buffer = closed(buffer, at, { exposure: { attempts: 1 }, events: [event(at - 1)] });
  }
  return buffer;
};
const attempts = (buffer: HealthBuffer): number =>
  buffer.reports.reduce((sum, report) => sum + (report.exposure.attempts ?? 0), 0);

describe('the health buffer', () => {
  it('is bounded and loses no count when it is offline for long', () => {
    const buffer = bins(REPORTS_KEPT * 3);
    expect(buffer.reports).toHaveLength(REPORTS_KEPT);
    expect(attempts(buffer)).toBe(REPORTS_KEPT * 3);
  });

  it('never changes a report that was sent', () => {
    const before = bins(10);
    const first = sending(before);
    const after = bins(REPORTS_KEPT * 2, sent(before, first.at(-1)?.sequence ?? 0));
    expect(sending(after).slice(0, first.length)).toEqual(first);
  });

  it('counts each bin once however answers are lost', () => {
    const action = fc.constantFrom('bin', 'lost', 'answered');
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        let buffer = opened(emptyBuffer(), 0, null);
        let made = 0;
        let held = 0;
        let counted = 0;
        for (const what of [...actions, 'answered']) {
          if (what === 'bin') {
            buffer = bins(1, buffer);
            made++;
            continue;
          }
          const reports = sending(buffer);
          for (const report of reports) {
            // As the service does: by the number alone.
            if (report.sequence <= held) continue;
            held = report.sequence;
            counted += report.exposure.attempts ?? 0;
          }
          buffer = sent(buffer, reports.at(-1)?.sequence ?? 0);
          if (what === 'answered') buffer = acknowledged(buffer, held);
        }
        expect(counted + attempts(buffer)).toBe(made);
      }),
      { seed: 20261122 },
    );
  });

  it('takes numbers above the service’s after it lost its state', () => {
    const buffer = acknowledged(bins(3), 90);
    expect(buffer.reports.map((report) => report.sequence)).toEqual([91, 92, 93]);
    expect(bins(1, buffer).reports.at(-1)?.sequence).toBe(94);
  });

  it('is not led to the end of all numbers', () => {
    const before = bins(3);
    for (const end of [2 ** 31 + 1, Number.MAX_SAFE_INTEGER - 3, Number.MAX_SAFE_INTEGER]) {
      expect(acknowledged(before, end)).toEqual(before);
    }
    expect(acknowledged(before, 2 ** 31).sequence).toBe(2 ** 31 + 3);
  });

  it('splits a bin with too many events, and counts its exposure once', () => {
    const events = Array.from({ length: LIMITS.eventsPerReport * 2 + 1 }, (_, i) => event(i));
    const buffer = closed(opened(emptyBuffer(), 0, null), 1000, { exposure: { attempts: 7 }, events });
    expect(buffer.reports.map((report) => report.events.length)).toEqual([200, 200, 1]);
    expect(attempts(buffer)).toBe(7);
  });

  it('sends no more than a check-in holds', () => {
    const body = JSON.stringify(sending(bins(REPORTS_KEPT)));
    expect(body.length).toBeLessThan(LIMITS.checkInBody);
    expect(sending(bins(REPORTS_KEPT))).toHaveLength(LIMITS.reportsPerCheckIn);
  });

  it('moves times where the clock is known to be wrong', () => {
    const buffer = closed(
      opened(emptyBuffer(), 0, null),
      1000,
      { exposure: {}, events: [event(500)] },
      3600_000,
    );
    expect(buffer.reports[0]).toMatchObject({ from: rfc3339(3600_000), events: [{ at: rfc3339(3600_500) }] });
    expect(buffer.from).toBe(1000);
  });
});
