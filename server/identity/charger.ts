import { createHash } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import type { Request } from 'express';
import type { Db } from '../db/index.ts';
import { ApiError } from '../http/index.ts';

/** The charger that presents a client certificate. */
export interface ChargerIdentity {
  organisation: string;
  serial: string;
  product: string;
  hardware: string;
  site: string;
  /** Fingerprint of the certificate it came with, hex. */
  certificateSha256: string;
}

/**
 * Which charger calls, by its client certificate: verified by TLS, and the very one that was issued last.
 * What the certificate says of itself is not read: the fingerprint leads to the row, and the row knows.
 *
 * @throws ApiError `CERTIFICATE_MISSING`, `CERTIFICATE_INVALID`, `CHARGER_UNKNOWN`, `CHARGER_RETIRED`
 */
export async function identifyCharger(db: Db, request: Request): Promise<ChargerIdentity> {
  const certificateSha256 = verifiedFingerprint(request);
  const row = await db
    .selectFrom('chargers')
    .select(['organisation', 'serial', 'product', 'hardware', 'site', 'state'])
    .where('certificate_sha256', '=', certificateSha256)
    .executeTakeFirst();
  if (row === undefined || row.state === 'EXPECTED') {
    throw new ApiError('CHARGER_UNKNOWN', 'The certificate belongs to no charger.');
  }
  const { state, ...charger } = row;
  if (state === 'RETIRED') throw new ApiError('CHARGER_RETIRED', charger.serial);
  return { ...charger, certificateSha256 };
}

function verifiedFingerprint(request: Request): string {
  const socket = request.socket;
  if (!(socket instanceof TLSSocket)) throw new ApiError('CERTIFICATE_MISSING', 'Not a TLS connection.');
  const raw: Buffer | undefined = socket.getPeerCertificate().raw;
  if (raw === undefined) throw new ApiError('CERTIFICATE_MISSING', 'No client certificate.');
  if (!socket.authorized) {
    throw new ApiError('CERTIFICATE_INVALID', String(socket.authorizationError));
  }
  return createHash('sha256').update(raw).digest('hex');
}
