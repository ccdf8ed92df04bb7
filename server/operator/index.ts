/**
 * What people and CI call, under `/operator/v1`.
 *
 * - `operatorRouter(deps): express.Router`: mount it at `/operator/v1`; it authenticates, checks permissions, and maps errors itself.
 */
export type { OperatorDeps } from './types.ts';
