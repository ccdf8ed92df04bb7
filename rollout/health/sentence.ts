import { type Signal, SIGNALS } from '@tidegate/client-sdk/protocol';
import type { SignalVerdict } from './evaluate.ts';

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

/** What the detector saw, for an operator woken at night. */
export function sentenceOf(verdict: SignalVerdict, version: string): string {
  const { treated, control, expected, signal } = verdict;
  const unit = UNITS[SIGNALS[signal].exposure];
  const times = expected > 0 ? `, ${(treated.events / expected).toFixed(1)} times as many` : '';
  return (
    `Chargers on ${version} had ${treated.events} ${NAMES[signal]} in ${amount(treated.exposure)} weighted ${unit}, ` +
    `where ${expected.toFixed(1)} were to be expected${times}: chargers without it had ${control.events} ` +
    `in ${amount(control.exposure)} at the same times. ` +
    `The odds against chance reached ${amount(verdict.m)} to 1; ${amount(verdict.threshold)} to 1 halts.`
  );
}

function amount(value: number): string {
  if (value >= 1e6) return 'over a million';
  return value >= 100 ? String(Math.round(value)) : String(Math.round(value * 10) / 10);
}
