export * from './schema.ts';
export { DATABASE_ERRORS, DatabaseError, type DatabaseErrorCode } from './errors.ts';
export { openDatabase, type Db, type OpenOptions } from './open.ts';
export { MIGRATIONS, migrate } from './migrate.ts';
export { inTransaction, sqlState } from './transaction.ts';
export {
  count,
  moveAssignment,
  type AssignmentFields,
  type AssignmentKey,
  type CountChange,
} from './moves.ts';
export {
  embeddedPlace,
  removeEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from './embedded/index.ts';
export { barredBecause, barredDigests } from './barred.ts';
export { publishedImages } from './published-images.ts';
export { PgRolloutStore } from './rollouts/store.ts';
export { unheard, type Unheard } from './rollouts/unheard.ts';
