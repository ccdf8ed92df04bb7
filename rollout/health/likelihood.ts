/** The likelihood ratios of the detector, for one rate ratio ρ each, in logarithms. */

/** Events and weighted exposure of the two sides of one comparison. */
export interface Sides {
  treated: { events: number; exposure: number };
  control: { events: number; exposure: number };
}

/**
 * `k_T ln(π_ρ/π₀) + k_C ln((1−π_ρ)/(1−π₀))`: how the events fell on the two sides, given how many there were. With
 * q = (E_T + E_C)/(ρE_T + E_C) that is `k_T ln(ρq) + k_C ln q`, free of cancellation.
 *
 * Against earlier events and exposure in the place of control, and one event more, it is the ratio of two predictions of the treated events:
 * both learn the rate from what was earlier (`λ ~ Gamma(k_C + 1, E_C)`), and one of them multiplies it by ρ. So it is a martingale over a
 * growing treated side too, and an earlier rate that rests on a few events counts for no more than that.
 */
export function logRatio({ treated, control }: Sides, ratio: number): number {
  const logQ = Math.log(
    (treated.exposure + control.exposure) / (ratio * treated.exposure + control.exposure),
  );
  return treated.events * (Math.log(ratio) + logQ) + control.events * logQ;
}

/** ln of the mean of e^x, without overflow. */
export function logMeanExp(values: readonly number[]): number {
  const top = Math.max(...values);
  const sum = values.reduce((total, value) => total + Math.exp(value - top), 0);
  return top + Math.log(sum / values.length);
}
