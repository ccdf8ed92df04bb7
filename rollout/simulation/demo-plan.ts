/**
 * The plan of the demo, as an operator would write it; `parsePlan` reads it. 60 chargers at 8 sites. Sizes and soaks were found by simulation:
 * see `simulate.test.ts`.
 */
export const demoPlan = {
  canary: { size: { count: 12 }, soak: { hours: 20, chargerHours: 200 }, approvals: 1 },
  waves: [
    { name: 'wave 1', size: { count: 12 }, soak: { hours: 9, chargerHours: 80 }, approvals: 0 },
    { name: 'wave 2', size: { count: 30 }, soak: { hours: 8, chargerHours: 160 }, approvals: 0 },
  ],
  holdBack: { count: 6 },
  approvals: 1,
  limits: { perSite: 4, inFlight: 30 },
  deadlineHours: 96,
  maxFailedShare: 0.1,
  healthyShare: 0.9,
  detector: { alpha: 0.01, ratios: [1.5, 2, 3, 5, 10], binMinutes: 60, deduplicateMinutes: 15 },
  watchHours: 24,
} as const;
