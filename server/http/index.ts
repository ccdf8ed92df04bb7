/** Small HTTP pieces that every router uses. */
export {
  API_ERRORS,
  ApiError,
  type ApiErrorCode,
  type ApiErrorOptions,
  type FieldProblem,
} from './api-error.ts';
export { notFound, problemHandler, problemOf, sendProblem, type Problem } from './problem.ts';
export { freeChunk, jsonBody, parseFields, readJson } from './body.ts';
export { requestSource } from './source.ts';
