import type { Request } from 'express';

/**
 * Where a request came from, for the audit log: the address of the peer.
 * `X-Forwarded-For` is not read: anyone can write it, and the service ends TLS itself.
 */
export function requestSource(request: Request): string {
  return request.socket.remoteAddress ?? 'unknown';
}
