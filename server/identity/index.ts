/** Who is calling, and what they may do. */
export { CERTIFICATE_DAYS, DeviceAuthority, type IssuedCertificate } from './authority.ts';
export { AUTHORITY_ERRORS, AuthorityError, type AuthorityErrorCode } from './errors.ts';
export { type ChargerIdentity, identifyCharger } from './charger.ts';
export {
  type Actor,
  addOperator,
  authenticateOperator,
  operatorOf,
  requireOperator,
  revokeOperator,
} from './operators.ts';
export {
  confirmOperator,
  countsAs,
  loadProvenance,
  type Provenance,
  requireIndependent,
} from './independence.ts';
export { type OperatorEntry, bootstrapOperators, operatorEntries } from './bootstrap.ts';
export {
  type Credential,
  newCredential,
  parseCredential,
  secretSha256,
  writeCredential,
} from './credential.ts';
export {
  type Operator,
  PERMISSIONS,
  type Permission,
  ROLES,
  type Role,
  isAllowed,
  requirePermission,
} from './roles.ts';
