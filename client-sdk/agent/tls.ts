/**
 * TLS by the time that the charger trusts. A machine that wakes in 1970 or 2106 would refuse every certificate, and one whose clock was set
 * back would take one that has expired. Design §3, "Time". Only the dates are judged here in OpenSSL's place; chain, names and use are its
 * own, and are looked at again where its verdict was about the dates.
 */
import { X509Certificate } from 'node:crypto';
import { Agent, type AgentOptions } from 'node:https';
import type { ClientRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import { checkServerIdentity, type TLSSocket } from 'node:tls';

export interface TlsTime {
  /** ms; a certificate that begins later is refused. Undefined while no signed time was heard since the start. */
  now(): number | undefined;
  /** ms; a certificate that ended before is refused: a time that one wrong signed time cannot move beyond every certificate. */
  floor(): number;
}

/** OpenSSL's verdicts that depend on its clock. */
const DATES: ReadonlySet<string> = new Set(['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED']);
const LONGEST_CHAIN = 8;
/** RFC 5280 4.2.1.12 */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

export class TimedAgent extends Agent {
  time: TlsTime = { now: () => undefined, floor: () => 0 };
  readonly #anchors: X509Certificate[];
  readonly #patience: number;
  readonly #judged = new WeakMap<Duplex, X509Certificate[]>();

  /** @param options.ca PEM; no other CA counts. @param options.timeout ms for a handshake. */
  constructor(options: AgentOptions & { ca: string; timeout: number }) {
    // A resumed session shows no certificate, and one that cannot be judged again by today's time is not taken.
    super({ ...options, maxCachedSessions: 0 });
    this.#anchors = anchorsIn(options.ca);
    this.#patience = options.timeout;
  }

  /** Hands the socket over once its certificate is judged, so that no byte of a request goes to a stranger. */
  override createConnection(
    options: Parameters<Agent['createConnection']>[0],
    done?: (error: Error | null, stream: Duplex) => void,
  ): null {
    const open = { ...options, rejectUnauthorized: false };
    const socket = super.createConnection(open) as TLSSocket;
    const host = (options as { servername?: string; host?: string }).servername || options.host || '';
    const fail = (error: Error): void => done?.(error, socket);
    const late = (): void => void socket.destroy(new Error(`no handshake in ${this.#patience} ms`));
    const deadline = setTimeout(late, this.#patience);
    socket.once('error', fail);
    socket.once('close', () => clearTimeout(deadline));
    socket.once('secureConnect', () => {
      clearTimeout(deadline);
      const error = this.#judge(socket, host);
      if (error) {
        socket.destroy(error);
        return;
      }
      socket.off('error', fail);
      done?.(null, socket);
    });
    return null;
  }

  /** A kept connection was judged by what was known then. */
  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    const error = this.#judgeDates(socket);
    if (error) socket.destroy(error);
    else super.reuseSocket(socket, request);
  }

  #judge(socket: TLSSocket, host: string): Error | undefined {
    // Asked once: Node 24 gives it once.
    const leaf = socket.getPeerX509Certificate();
    const chain = leaf && chainOf(leaf, this.#anchors);
    this.#judged.set(socket, chain ?? (leaf ? [leaf] : []));
    if (socket.authorized) return this.#judgeDates(socket);
    const verdict = socket.authorizationError as Error | string | null;
    const code = verdict instanceof Error ? (verdict as NodeJS.ErrnoException).code : verdict;
    if (!DATES.has(code ?? '')) return new Error(`the certificate is refused: ${code ?? 'unknown'}`);
    // OpenSSL keeps its last complaint only: what else it would have said is asked again.
    if (!chain) return new Error('the certificate does not chain to the CA');
    const otherUse = leaf.keyUsage !== undefined && !leaf.keyUsage.includes(SERVER_AUTH);
    if (otherUse) return new Error('the certificate is not for a server');
    return checkServerIdentity(host, leaf.toLegacyObject()) ?? this.#judgeDates(socket);
  }

  /** Each certificate from the server's to the CA's: one that has ended can have been stolen since. */
  #judgeDates(socket: Duplex): Error | undefined {
    const chain = this.#judged.get(socket) ?? [];
    if (chain.length === 0) return new Error('no certificate');
    return chain.map((each) => this.#judgeDatesOf(each)).find((error) => error !== undefined);
  }

  #judgeDatesOf(certificate: X509Certificate): Error | undefined {
    const now = this.time.now();
    const { validFromDate, validToDate } = certificate;
    if (validToDate.getTime() <= this.time.floor()) {
      return new Error(`the certificate expired at ${validToDate.toISOString()}`);
    }
    if (now !== undefined && now < validFromDate.getTime()) {
      return new Error(`the certificate is not valid before ${validFromDate.toISOString()}`);
    }
    return undefined;
  }
}

/** From the server's certificate to a CA that was provisioned; undefined where there is no such chain. */
function chainOf(leaf: X509Certificate, anchors: readonly X509Certificate[]): X509Certificate[] | undefined {
  const chain = [leaf];
  for (let last = leaf; chain.length <= LONGEST_CHAIN;) {
    const anchor = anchors.find((candidate) => issued(candidate, last));
    if (anchor) return [...chain, anchor];
    const next = last.issuerCertificate;
    if (!next || !issued(next, last)) return undefined;
    chain.push(next);
    last = next;
  }
  return undefined;
}

const issued = (issuer: X509Certificate, subject: X509Certificate): boolean =>
  issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey);

function anchorsIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
