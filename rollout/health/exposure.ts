/**
 * Whether a step has gathered the evidence that its soak asks for, in charger-hours that its treated chargers have reported.
 * Time is judged apart: a workplace at 3 a.m. has hours but no sessions. Design §5
 */
export function enoughExposure(soak: { chargerHours: number }, treatedChargerHours: number): boolean {
  return treatedChargerHours >= soak.chargerHours;
}
