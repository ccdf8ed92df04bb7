import { type Signal, SIGNALS } from '@tidegate/client-sdk/protocol';
import type { SignalVerdict } from './evaluate.ts';
import { type Found, standsWithoutFirst } from './judge.ts';

const NAMES: Record<Signal, string> = {
  failedStart: 'failed session starts',
  authError: 'authorisation errors',
  fault: 'connector faults',
  offline: 'offline episodes',
  boot: 'unexpected boots',
  abnormalStop: 'abnormal stops',
  security: 'security events',
};

const UNITS = {
  attempts: 'attempts',
  connectorHours: 'connector-hours',
  chargerHours: 'charger-hours',
  transactions: 'transactions',
} as const;

/** What the detector saw and who it came from, for an operator woken at night: why a release is taken back. */
export function standingSentence({ verdict, behind }: Found, version: string): string {
  const [first] = behind.chargers;
  const { chargers, sites } = behind.others;
  return (
    `${seen(verdict, version)} They came from ${first?.serial}, which had ${first?.events}, and ${chargers} others at ${sites} sites; ` +
    `without ${first?.serial} the odds still reached ${amount(Math.exp(behind.lnMWithoutFirst))} to 1.`
  );
}

/** The same where it hangs on one charger, or on too few: why a rollout pauses, and what to look at. */
export function hangingSentence(found: Found, version: string): string {
  const { verdict, behind } = found;
  const [first] = behind.chargers;
  const { chargers, sites } = behind.others;
  const weak = standsWithoutFirst(found)
    ? `besides it only ${chargers} charger(s) at ${sites} site(s) had any`
    : `without it the odds reached ${amount(Math.exp(behind.lnMWithoutFirst))} to 1`;
  return (
    `${seen(verdict, version)} But ${first?.serial} at ${first?.site} had ${first?.events} of them, and ${weak}: ` +
    'too little to take the release back, enough not to go beyond this step. It goes back once others bear it out; if that charger is broken ' +
    'or not itself, retire it and resume.'
  );
}

function seen(verdict: SignalVerdict, version: string): string {
  const { treated, control, expected, signal, comparison } = verdict;
  const unit = UNITS[SIGNALS[signal].exposure];
  const times = expected > 0 ? `, ${(treated.events / expected).toFixed(1)} times as many` : '';
  const compared =
    comparison === 'concurrent'
      ? `chargers without it had ${control.events} in ${amount(control.exposure)} at the same times. The odds against chance`
      : 'compared with their own earlier rates: no charger without the release was left to compare with. ' +
        'Even without the worst day the odds against chance';
  return (
    `Chargers on ${version} had ${treated.events} ${NAMES[signal]} in ${amount(treated.exposure)} weighted ${unit}, ` +
    `where ${expected.toFixed(1)} were to be expected${times}${comparison === 'concurrent' ? ':' : ','} ${compared} ` +
    `reached ${amount(verdict.m)} to 1; ${amount(verdict.threshold)} to 1 halts.`
  );
}

function amount(value: number): string {
  if (value >= 1e6) return 'over a million';
  return value >= 100 ? String(Math.round(value)) : String(Math.round(value * 10) / 10);
}
