import { type Signal, SIGNAL_NAMES } from '@tidegate/client-sdk/protocol';
import type { Plan, SignalBin } from '../core/types.ts';

export interface SignalVerdict {
  signal: Signal;
  halt: boolean;
  /** Highest value of the mixture M over the bins so far. May be Infinity for overwhelming evidence; `lnM` never is. */
  m: number;
  lnM: number;
  /** 1/α of this signal: M at or above it halts. */
  threshold: number;
  /** `L_ρ` by ratio, where M was highest. */
  logLikelihood: Record<string, number>;
  /** In all bins. Exposure is weighted, in the signal's unit. */
  treated: { events: number; exposure: number };
  control: { events: number; exposure: number };
  /** Treated events to be expected without an effect, from the untreated in the same bins. */
  expected: number;
  /** Treated exposure in bins where no control reported: it tells nothing here. */
  uncontrolled: number;
}

export interface Verdict {
  halt: boolean;
  /** The signal with the strongest evidence relative to its threshold; null when nothing was reported. */
  worst: SignalVerdict | null;
  signals: SignalVerdict[];
}

/**
 * The sequential detector of design §5. In each bin, events fall on treated and control by their weighted exposures if the release does nothing,
 * and on the treated ρ times as often if it does harm. The mixture M over ρ is a martingale without an effect, so that
 * P(M ever ≥ 1/α) ≤ α at any number of looks (Ville). Storms hit both sides and cancel.
 *
 * α is split evenly across the signals that have exposure. A bin in which one side has no exposure says nothing: without concurrent control
 * this detector neither halts nor clears, and `uncontrolled` says how much it could not judge.
 * @param bins in any order; bins of one signal and start are added up.
 */
export function evaluate(bins: readonly SignalBin[], detector: Plan['detector']): Verdict {
  const bySignal = grouped(bins);
  const present = SIGNAL_NAMES.filter((signal) => bySignal.get(signal)?.some(hasExposure));
  const threshold = present.length / detector.alpha;
  const signals = present.map((signal) =>
    evaluateSignal(signal, bySignal.get(signal) ?? [], detector.ratios, threshold),
  );
  const worst = signals.reduce<SignalVerdict | null>(
    (most, each) => (most === null || each.lnM > most.lnM ? each : most),
    null,
  );
  return { halt: signals.some((each) => each.halt), worst, signals };
}

function evaluateSignal(
  signal: Signal,
  bins: SignalBin[],
  ratios: readonly number[],
  threshold: number,
): SignalVerdict {
  const totals = { treated: { events: 0, exposure: 0 }, control: { events: 0, exposure: 0 } };
  const logs = ratios.map(() => 0);
  let expected = 0;
  let uncontrolled = 0;
  let lnM = 0;
  let highest = logs;
  for (const bin of merged(bins)) {
    totals.treated.events += bin.treatedEvents;
    totals.treated.exposure += bin.treatedExposure;
    totals.control.events += bin.controlEvents;
    totals.control.exposure += bin.controlExposure;
    if (bin.controlExposure <= 0) uncontrolled += bin.treatedExposure;
    if (bin.treatedExposure <= 0 || bin.controlExposure <= 0) continue;
    const all = bin.treatedExposure + bin.controlExposure;
    expected += ((bin.treatedEvents + bin.controlEvents) * bin.treatedExposure) / all;
    ratios.forEach((ratio, i) => (logs[i] = (logs[i] ?? 0) + logRatio(bin, ratio)));
    const mixture = logMeanExp(logs);
    if (mixture > lnM) [lnM, highest] = [mixture, [...logs]];
  }
  const logLikelihood = Object.fromEntries(ratios.map((ratio, i) => [String(ratio), highest[i] ?? 0]));
  const halt = lnM >= Math.log(threshold);
  return { signal, halt, m: Math.exp(lnM), lnM, threshold, logLikelihood, ...totals, expected, uncontrolled };
}

/** `k_T ln(π_ρ/π₀) + k_C ln((1−π_ρ)/(1−π₀))`; with q = (E_T + E_C)/(ρE_T + E_C) that is `k_T ln(ρq) + k_C ln q`, free of cancellation. */
function logRatio(bin: SignalBin, ratio: number): number {
  const all = bin.treatedExposure + bin.controlExposure;
  const logQ = Math.log(all / (ratio * bin.treatedExposure + bin.controlExposure));
  return bin.treatedEvents * (Math.log(ratio) + logQ) + bin.controlEvents * logQ;
}

/** ln of the mean of e^x, without overflow. */
function logMeanExp(values: readonly number[]): number {
  const top = Math.max(...values);
  const sum = values.reduce((total, value) => total + Math.exp(value - top), 0);
  return top + Math.log(sum / values.length);
}

function grouped(bins: readonly SignalBin[]): Map<Signal, SignalBin[]> {
  const groups = new Map<Signal, SignalBin[]>();
  for (const bin of bins) {
    const group = groups.get(bin.signal);
    if (group === undefined) groups.set(bin.signal, [bin]);
    else group.push(bin);
  }
  return groups;
}

/** One bin per start, oldest first. */
function merged(bins: readonly SignalBin[]): SignalBin[] {
  const byStart = new Map<number, SignalBin>();
  for (const bin of bins) {
    const held = byStart.get(bin.from);
    byStart.set(bin.from, held === undefined ? bin : added(held, bin));
  }
  return [...byStart.values()].sort((a, b) => a.from - b.from);
}

function added(a: SignalBin, b: SignalBin): SignalBin {
  return {
    ...a,
    treatedEvents: a.treatedEvents + b.treatedEvents,
    treatedExposure: a.treatedExposure + b.treatedExposure,
    controlEvents: a.controlEvents + b.controlEvents,
    controlExposure: a.controlExposure + b.controlExposure,
  };
}

function hasExposure(bin: SignalBin): boolean {
  return bin.treatedExposure > 0 || bin.controlExposure > 0;
}
