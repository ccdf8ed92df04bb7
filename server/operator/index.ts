/** What people and CI call, under `/operator/v1`. */
export { OPERATOR_ROUTES, operatorRouter } from './router.ts';
export { forgetKeys } from './idempotency.ts';
export type { OperatorDeps } from './types.ts';
export type { RolloutView } from './rollout-view.ts';
