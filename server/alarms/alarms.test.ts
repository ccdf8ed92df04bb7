import { array, assert, boolean, constantFrom, integer, property, record } from 'fast-check';
import { expect, test } from 'vitest';
import { alarmLog } from './watch.ts';
import { type Alarm, alarmsOf, type Facts } from './alarms.ts';

const DAY = 24 * 60 * 60 * 1000;
const NOW = { fleet: Date.parse('2026-11-22T12:00:00Z'), wall: Date.parse('2030-01-01T00:00:00Z') };
const QUIET: Facts = {
  roles: [
    { role: 'root', expires: NOW.fleet + 90 * DAY },
    { role: 'timestamp', expires: NOW.fleet + DAY / 2 },
    { role: 'snapshot', expires: NOW.fleet + 3.5 * DAY },
  ],
  unreadable: null,
  refresh: null,
  ahead: [],
  fallbacks: [],
  certificates: [
    { subject: 'service', expires: NOW.wall + 30 * DAY },
    { subject: 'CA', expires: NOW.wall + 3650 * DAY },
  ],
  chargers: { expired: 0, within7Days: 0, within30Days: 0, nearest: NOW.wall + 90 * DAY },
};
const raised = (change: Partial<Facts>) =>
  alarmsOf({ ...QUIET, ...change }, NOW).map(
    ({ code, severity, subject }) => `${severity} ${code} ${subject}`,
  );

test('a service as it should be raises nothing, also right before it signs again', () => {
  expect(raised({})).toEqual([]);
});

test.each([
  ['acme.dc150', 30 * DAY, []],
  ['acme.dc150', 30 * DAY - 1, ['warning ROLE_EXPIRING acme.dc150']],
  ['targets', 7 * DAY, ['warning ROLE_EXPIRING targets']],
  ['targets', 7 * DAY - 1, ['urgent ROLE_EXPIRING targets']],
  ['root', 0, ['urgent ROLE_EXPIRED root']],
  ['timestamp', (3 / 8) * DAY - 1, ['warning ROLE_EXPIRING timestamp']],
  ['timestamp', DAY / 4 - 1, ['urgent ROLE_EXPIRING timestamp']],
  ['snapshot', -1, ['urgent ROLE_EXPIRED snapshot']],
])('role %s with %d ms to live: %j', (role, left, alarms) => {
  expect(raised({ roles: [{ role, expires: NOW.fleet + left }] })).toEqual(alarms);
});

const fallback = (days: number, used = true, version = '1.1.0') => ({
  product: 'acme.dc150',
  version,
  path: 'acme.dc150/1.0.0',
  expires: NOW.fleet + days * DAY,
  used,
});

test('a way back near its end is an alarm, one that nobody needs a shared one, and none left an urgent one', () => {
  expect(raised({ fallbacks: [fallback(31)] })).toEqual([]);
  expect(raised({ fallbacks: [fallback(29)] })).toEqual([
    'warning FALLBACK_EXPIRING acme.dc150 1.1.0 → acme.dc150/1.0.0',
  ]);
  expect(raised({ fallbacks: [fallback(3)] })).toEqual([
    'urgent FALLBACK_EXPIRING acme.dc150 1.1.0 → acme.dc150/1.0.0',
  ]);
  expect(raised({ fallbacks: [fallback(-1)] })).toEqual(['urgent FALLBACK_EXPIRED acme.dc150 1.1.0']);
  expect(raised({ fallbacks: [fallback(-1), fallback(60)] })).toEqual([]);
  const idle = [fallback(3, false), fallback(5, false, '1.2.0'), fallback(-9, false)];
  expect(raised({ fallbacks: idle })).toEqual(['warning FALLBACK_EXPIRING acme.dc150']);
});

test("certificates live on the wall's clock, and chargers' are counts", () => {
  const certificates: Facts['certificates'] = [
    { subject: 'service', expires: NOW.wall + 6 * DAY },
    { subject: 'CA', expires: NOW.wall - 1 },
  ];
  expect(raised({ certificates })).toEqual([
    'urgent CERTIFICATE_EXPIRED CA',
    'urgent CERTIFICATE_EXPIRING service',
  ]);
  const chargers = { expired: 2, within7Days: 0, within30Days: 400, nearest: NOW.wall + 8 * DAY };
  expect(raised({ chargers })).toEqual([
    'urgent CHARGER_CERTIFICATES_EXPIRED chargers',
    'warning CHARGER_CERTIFICATES_EXPIRING chargers',
  ]);
  expect(raised({ chargers: { ...chargers, expired: 0, within7Days: 1 } })).toEqual([
    'urgent CHARGER_CERTIFICATES_EXPIRING chargers',
  ]);
});

test('what fails, what is lost and what chargers claim is told with its figures', () => {
  const refresh = {
    since: NOW.fleet - DAY,
    attempts: 9,
    next: NOW.fleet,
    detail: 'the KMS does not answer.',
  };
  const [failing] = alarmsOf({ ...QUIET, refresh }, NOW);
  expect(failing).toMatchObject({ code: 'REFRESH_FAILING', expires: NOW.fleet + DAY / 2 });
  expect(failing?.sentence).toContain('9 times: the KMS does not answer.');
  const ahead = { role: 'targets', published: 5, reported: 7, chargers: 3, sites: 2 };
  const [behind] = alarmsOf({ ...QUIET, ahead: [{ ...ahead, credence: 'believed' }] }, NOW);
  expect(behind).toMatchObject({ code: 'REPOSITORY_BEHIND', severity: 'urgent', subject: 'targets' });
  expect(behind?.sentence).toContain('targets 5 is published, and 3 chargers at 2 sites trust 7.');
  for (const credence of ['few', 'absurd'] as const)
    expect(raised({ ahead: [{ ...ahead, credence }] })).toEqual(['warning CHARGER_AHEAD targets']);
  expect(raised({ unreadable: 'It is lost.' })).toEqual(['urgent REPOSITORY_UNREADABLE repository']);
});

test('less time never makes an alarm milder, and the urgent come first', () => {
  const fallbacks = array(
    record({ days: integer({ min: -9, max: 99 }), used: boolean(), version: constantFrom('1', '2', '3') }),
  );
  const roles = array(
    record({
      role: constantFrom('root', 'timestamp', 'acme.x'),
      expires: integer({ min: -DAY, max: 99 * DAY }),
    }),
  );
  const rank = (alarms: Alarm[]) =>
    alarms.reduce((sum, { severity }) => sum + (severity === 'urgent' ? 1000 : 1), 0);
  assert(
    property(fallbacks, roles, integer({ min: 0, max: 5 * DAY }), (ways, given, later) => {
      const facts: Facts = {
        ...QUIET,
        roles: given.map(({ role, expires }) => ({ role, expires: NOW.fleet + expires })),
        fallbacks: ways.map(({ days, used, version }) => fallback(days, used, version)),
      };
      const alarms = alarmsOf(facts, NOW);
      const severities = alarms.map(({ severity }) => severity);
      expect(severities).toEqual(severities.toSorted());
      const roleAlarms = (fleet: number) => rank(alarmsOf({ ...facts, fallbacks: [] }, { ...NOW, fleet }));
      expect(roleAlarms(NOW.fleet + later)).toBeGreaterThanOrEqual(roleAlarms(NOW.fleet));
    }),
    { seed: 16, numRuns: 500 },
  );
});

test('the log tells of an alarm when it rises, grows urgent, and clears, and of nothing in between', () => {
  const said: string[] = [];
  const keep = (level: string) => (_fields: object, message: string) => void said.push(`${level} ${message}`);
  const tell = alarmLog({ info: keep('info'), warn: keep('warn'), error: keep('error') });
  const role = (days: number) =>
    alarmsOf({ ...QUIET, roles: [{ role: 'root', expires: NOW.fleet + days * DAY }] }, NOW);
  for (const days of [60, 20, 19, 5, 4, 90]) tell(role(days));
  expect(said.map((line) => line.slice(0, 24))).toEqual([
    'warn root expires at 202',
    'error root expires at 20',
    'info The alarm is over: ',
  ]);
});
