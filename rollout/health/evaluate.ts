import { type Signal, SIGNAL_NAMES } from '@tidegate/client-sdk/protocol';
import type { Earlier, Plan, SignalBin } from '../core/types.ts';
import { bySignal, hasExposure, merged } from './bins.ts';
import { logMeanExp, logRatio, type Sides } from './likelihood.ts';

/**
 * What treated chargers were compared with.
 * - `concurrent`: chargers without the release in the same bins. What hits both cancels.
 * - `earlier`: what the fleet showed before the rollout, in bins in which no charger without the release reported.
 */
export type Comparison = 'concurrent' | 'earlier';

export interface SignalVerdict extends Sides {
  signal: Signal;
  comparison: Comparison;
  halt: boolean;
  /** Highest value of the mixture M over the bins so far. May be Infinity for overwhelming evidence; `lnM` never is. */
  m: number;
  lnM: number;
  /** 1/α of this comparison: M at or above it halts. */
  threshold: number;
  /** `L_ρ` by ratio, where M was highest. */
  logLikelihood: Record<string, number>;
  /** Treated events to be expected without an effect, from the other side. */
  expected: number;
  /** Treated exposure in bins where no control reported: `concurrent` cannot judge it. */
  uncontrolled: number;
}

export interface Verdict {
  halt: boolean;
  /** The comparison with the strongest evidence relative to its threshold; null when nothing was reported. */
  worst: SignalVerdict | null;
  signals: SignalVerdict[];
}

/** Share of α that comparisons with earlier rates may spend: they cannot tell harm from a change in the weather. */
const EARLIER_SHARE = 0.1;
/**
 * Without a comparison a storm looks like harm. So the treated events of the worst stretch of this length do not count, while its exposure
 * does: an outside cause that lasts a day halts nothing, nor do the busy hours of a day. Harm goes on for longer.
 */
const WORST_MS = 24 * 3_600_000;

/**
 * The sequential detector of design §5. In each bin, events fall on treated and control by their weighted exposures if the release does nothing,
 * and on the treated ρ times as often if it does harm. The mixture M over ρ is a martingale without an effect, so that
 * P(M ever ≥ 1/α) ≤ α at any number of looks (Ville). Storms hit both sides and cancel.
 *
 * Bins without concurrent control (everybody updated, or a tiny fleet) are judged against earlier rates, by a mixture of its own, with a tenth
 * of α and without its worst day. Without earlier rates they say nothing, and `uncontrolled` says how much that is.
 * Both shares of α are split evenly across the signals that have exposure.
 * @param bins in any order; bins of one signal and start are added up.
 * @param earlier what was counted before the rollout, by signal, in the unit of the weighted exposures.
 */
export function evaluate(
  bins: readonly SignalBin[],
  detector: Plan['detector'],
  earlier: Earlier = {},
): Verdict {
  const groups = bySignal(bins);
  const present = SIGNAL_NAMES.filter((signal) => groups.get(signal)?.some(hasExposure));
  const signals = present.flatMap((signal) => {
    const mine = merged(groups.get(signal) ?? []);
    const judged = (share: number) => ({ ...detector, threshold: present.length / (detector.alpha * share) });
    const before = earlier[signal];
    const concurrent = againstControl(signal, mine, judged(1 - EARLIER_SHARE));
    if (concurrent.uncontrolled === 0 || before === undefined || before.exposure <= 0) return [concurrent];
    return [concurrent, againstEarlier(signal, mine, before, judged(EARLIER_SHARE))];
  });
  const worst = signals.reduce<SignalVerdict | null>(
    (most, each) => (most === null || overThreshold(each) > overThreshold(most) ? each : most),
    null,
  );
  return { halt: signals.some((each) => each.halt), worst, signals };
}

type Judged = Pick<Plan['detector'], 'ratios'> & { threshold: number };

function againstControl(signal: Signal, bins: readonly SignalBin[], judged: Judged): SignalVerdict {
  const totals = { treated: { events: 0, exposure: 0 }, control: { events: 0, exposure: 0 } };
  const logs = judged.ratios.map(() => 0);
  const peak = new Peak(judged);
  let expected = 0;
  let uncontrolled = 0;
  for (const bin of bins) {
    const { treated, control } = sidesOf(bin);
    add(totals.treated, treated);
    add(totals.control, control);
    if (control.exposure <= 0) uncontrolled += treated.exposure;
    if (treated.exposure <= 0 || control.exposure <= 0) continue;
    expected +=
      ((treated.events + control.events) * treated.exposure) / (treated.exposure + control.exposure);
    judged.ratios.forEach((ratio, i) => (logs[i] = (logs[i] ?? 0) + logRatio({ treated, control }, ratio)));
    peak.see(logs);
  }
  return { signal, comparison: 'concurrent', ...peak.verdict(), ...totals, expected, uncontrolled };
}

function againstEarlier(
  signal: Signal,
  bins: readonly SignalBin[],
  earlier: Sides['control'],
  judged: Judged,
): SignalVerdict {
  const alone = bins.filter((bin) => bin.treatedExposure > 0 && bin.controlExposure <= 0);
  const prior = { events: earlier.events + 1, exposure: earlier.exposure };
  const peak = new Peak(judged);
  const treated = { events: 0, exposure: 0 };
  let [first, stretch, worst] = [0, 0, 0];
  for (const bin of alone) {
    add(treated, sidesOf(bin).treated);
    stretch += bin.treatedEvents;
    for (let oldest = alone[first]; oldest && oldest.from <= bin.from - WORST_MS; oldest = alone[++first]) {
      stretch -= oldest.treatedEvents;
    }
    worst = Math.max(worst, stretch);
    const rest = { events: treated.events - worst, exposure: treated.exposure };
    peak.see(judged.ratios.map((ratio) => logRatio({ treated: rest, control: prior }, ratio)));
  }
  const expected = (earlier.events / earlier.exposure) * treated.exposure;
  const figures = { treated, control: earlier, expected, uncontrolled: treated.exposure };
  return { signal, comparison: 'earlier', ...peak.verdict(), ...figures };
}

/** M where it was highest. It begins at 1: no evidence. */
class Peak {
  readonly #judged: Judged;
  #lnM = 0;
  #logs: readonly number[];

  constructor(judged: Judged) {
    this.#judged = judged;
    this.#logs = judged.ratios.map(() => 0);
  }

  see(logs: readonly number[]): void {
    const mixture = logMeanExp(logs);
    if (mixture > this.#lnM) [this.#lnM, this.#logs] = [mixture, [...logs]];
  }

  verdict(): Pick<SignalVerdict, 'halt' | 'm' | 'lnM' | 'threshold' | 'logLikelihood'> {
    const { ratios, threshold } = this.#judged;
    const logLikelihood = Object.fromEntries(ratios.map((ratio, i) => [String(ratio), this.#logs[i] ?? 0]));
    const lnM = this.#lnM;
    return { halt: lnM >= Math.log(threshold), m: Math.exp(lnM), lnM, threshold, logLikelihood };
  }
}

function overThreshold({ lnM, threshold }: SignalVerdict): number {
  return lnM - Math.log(threshold);
}

function sidesOf(bin: SignalBin): Sides {
  return {
    treated: { events: bin.treatedEvents, exposure: bin.treatedExposure },
    control: { events: bin.controlEvents, exposure: bin.controlExposure },
  };
}

function add(sum: Sides['treated'], more: Sides['treated']): void {
  sum.events += more.events;
  sum.exposure += more.exposure;
}
