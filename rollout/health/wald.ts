/**
 * Wald's bound on what any test needs on average to tell a rate ratio from 1: `ln(1/α) / [λ₀(ρ ln ρ − ρ + 1)]`, in the unit of the rate. It sizes a
 * canary. It is a mean, and it takes the earlier rate as known: ask simulation for the tail.
 * @param rate λ₀: events per unit of exposure without the release.
 * @param ratio ρ > 1: the rate ratio to be found.
 */
export function wald(parameters: { alpha: number; ratio: number; rate: number }): number {
  const { alpha, ratio, rate } = parameters;
  return Math.log(1 / alpha) / (rate * (ratio * Math.log(ratio) - ratio + 1));
}
