/**
 * How much of TUF a reader takes. Our own repositories use a part of the specification, and a charger refuses the rest: what nobody needs
 * is nothing to attack. The rules of the client workflow are the same for both.
 */
import { OWN_SCHEMES, TUF_SCHEMES, type Schemes } from './schemes.ts';

export interface Dialect {
  /** Whether a root may be without consistent snapshots. TUF 6.2 */
  unversionedFiles: boolean;
  /** Names in a snapshot. */
  roleFile: RegExp;
  targetPath: RegExp;
  maxRoles: number;
  /** Whether SHA-512, or a hash that is not known here, may stand without SHA-256. TUF 4.1 "HASHES" */
  otherHashes: boolean;
  /** Whether delegations may be by path hash prefix and by succinct roles. TUF 4.5 */
  hashedPaths: boolean;
  schemes: Schemes;
}

/** Our own repositories. No `/` in a role's name, so that it is its file's name. */
export const TIDEGATE: Dialect = {
  unversionedFiles: false,
  roleFile: /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.json$/,
  targetPath: /^[A-Za-z0-9][A-Za-z0-9._+-]*(\/[A-Za-z0-9][A-Za-z0-9._+-]*)*$/,
  maxRoles: 4096,
  otherHashes: false,
  hashedPaths: false,
  schemes: OWN_SCHEMES,
};

/** Any repository that keeps to the specification. */
export const TUF: Dialect = {
  unversionedFiles: true,
  roleFile: /^.{1,512}\.json$/su,
  targetPath: /^.{1,1024}$/su,
  maxRoles: 32_768,
  otherHashes: true,
  hashedPaths: true,
  schemes: TUF_SCHEMES,
};
