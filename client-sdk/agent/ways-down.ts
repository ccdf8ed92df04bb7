import type { Fallback } from '../protocol/index.ts';
import { parseCustom, type TrustResult } from '../trust/index.ts';
import type { AgentState } from './state.ts';

/** Signed fallbacks of the committed image: the current role's entry, else the persisted one. Design §3 */
export function waysDown(
  { committed, fallbackOfInstalled }: Pick<AgentState, 'committed' | 'fallbackOfInstalled'>,
  trust: TrustResult,
): Fallback[] {
  for (const listed of trust.productTargets.targets.values()) {
    if (listed.sha256 === committed.sha256) return parseCustom(listed.custom).fallback;
  }
  return fallbackOfInstalled;
}
