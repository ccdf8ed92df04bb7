/** Codes that the shell writes into assignments; `detail` is for the operator. Codes of chargers are the SDK's refusals. */

/** The charger ran the release before it was drawn. */
export const ALREADY_ON_RELEASE = 'ALREADY_ON_RELEASE';
/** A later rollout has drawn the charger, so that this one does not catch it up any more. */
export const SUPERSEDED = 'SUPERSEDED';
export const SUPERSEDED_DETAIL = 'A later rollout has drawn it.';
/** No word before the deadline, on the way forward. */
export const SILENT = 'SILENT';
/** No word before the deadline, on the way back. */
export const SILENT_IN_ROLLBACK = 'SILENT_IN_ROLLBACK';
/** No signed, unexpired, published way down fits this charger; it keeps running the release and is listed. */
export const NO_FALLBACK = 'NO_FALLBACK';
export const NO_FALLBACK_DETAIL = 'No signed, unexpired and published fallback fits this charger.';
