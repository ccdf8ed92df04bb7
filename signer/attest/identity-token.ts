/** Who this CI job is, as an OIDC token for Fulcio. A token is a secret: it is in no error and in no file of ours. */
import { jsonOf, member, optionalMember, text } from './answers.ts';
import { environmentFor, KeyError, runProgram, type Environment } from '../keys/index.ts';
import { AttestError } from './errors.ts';
import { ask } from './http.ts';

/** Longest token, in bytes. */
export const MAX_TOKEN_BYTES = 16 * 1024;
const AUDIENCE = 'sigstore';
const BUILDKITE_TIMEOUT_MS = 30_000;

export interface IdentityToken {
  /** The JWT itself. */
  token: string;
  /** `iss`: who says so. Fulcio writes it into the certificate. */
  issuer: string;
  /** What a proof of possession signs: the e-mail address where there is one, else `sub`. Fulcio, docs/oidc.md */
  subject: string;
}

/**
 * The job's token: `SIGSTORE_ID_TOKEN` (GitLab's `id_tokens:`, and whoever sets it), else GitHub Actions, else Buildkite's agent.
 * @param now milliseconds since the epoch.
 * @throws AttestError `IDENTITY_MISSING`, `IDENTITY_REFUSED`, `IDENTITY_TOKEN`, `SERVICE_*`.
 */
export async function ciToken(env: Environment, now: number): Promise<IdentityToken> {
  if (env['SIGSTORE_ID_TOKEN']) return parseToken(env['SIGSTORE_ID_TOKEN'], now);
  if (env['ACTIONS_ID_TOKEN_REQUEST_URL'] && env['ACTIONS_ID_TOKEN_REQUEST_TOKEN']) {
    return parseToken(
      await githubToken(env['ACTIONS_ID_TOKEN_REQUEST_URL'], env['ACTIONS_ID_TOKEN_REQUEST_TOKEN']),
      now,
    );
  }
  if (env['BUILDKITE'] === 'true') return parseToken(await buildkiteToken(env), now);
  throw new AttestError('IDENTITY_MISSING', 'Nobody here to vouch');
}

/**
 * Reads a token. Whether it is genuine is for Fulcio to say; what is checked here makes its refusal unnecessary.
 * @throws AttestError `IDENTITY_TOKEN`
 */
export function parseToken(written: string, now: number): IdentityToken {
  const token = written.trim();
  try {
    if (token.length > MAX_TOKEN_BYTES || !/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token))
      throw new TypeError('no JWT');
    const claims = jsonOf(Buffer.from(token.split('.')[1] ?? '', 'base64url'));
    const expires = optionalMember(claims, 'exp');
    if (typeof expires === 'number' && expires * 1000 <= now) throw new TypeError('it has expired');
    const audience = [optionalMember(claims, 'aud')].flat();
    if (!audience.includes(AUDIENCE)) throw new TypeError(`its audience is not ${AUDIENCE}`);
    return { token, issuer: text(member(claims, 'iss')), subject: subjectOf(claims) };
  } catch (cause) {
    // The cause of a JSON error quotes what it could not read.
    const why = cause instanceof TypeError ? cause.message : 'no JWT';
    throw new AttestError('IDENTITY_TOKEN', why);
  }
}

function subjectOf(claims: unknown): string {
  const email = optionalMember(claims, 'email');
  if (email === undefined) return text(member(claims, 'sub'));
  const verified = optionalMember(claims, 'email_verified');
  if (verified !== true && verified !== 'true') throw new TypeError('its e-mail address is not verified');
  return text(email);
}

/** https://docs.github.com/actions/reference/security/oidc */
async function githubToken(url: string, bearer: string): Promise<string> {
  const asked = URL.canParse(url) ? new URL(url) : undefined;
  asked?.searchParams.set('audience', AUDIENCE);
  const { body } = await ask({
    service: 'GitHub Actions',
    url: asked?.href ?? url,
    method: 'GET',
    headers: { accept: 'application/json', authorization: `Bearer ${bearer}` },
    secret: bearer,
  }).catch((cause: unknown) => {
    if (cause instanceof AttestError && cause.code !== 'SERVICE_REFUSED') throw cause;
    throw new AttestError('IDENTITY_REFUSED', 'GitHub Actions', { cause });
  });
  try {
    return text(member(jsonOf(body), 'value'));
  } catch {
    throw new AttestError('IDENTITY_REFUSED', 'GitHub Actions answered no token');
  }
}

/** https://buildkite.com/docs/agent/cli/reference/oidc */
async function buildkiteToken(env: Environment): Promise<string> {
  const { answer, exit, lastWords } = await runProgram({
    program: 'buildkite-agent',
    args: ['oidc', 'request-token', '--audience', AUDIENCE],
    env: environmentFor(env),
    timeoutMs: BUILDKITE_TIMEOUT_MS,
  }).catch((cause: unknown) => {
    if (cause instanceof KeyError) throw new AttestError('IDENTITY_REFUSED', 'buildkite-agent', { cause });
    throw cause;
  });
  if (exit !== 0) throw new AttestError('IDENTITY_REFUSED', `buildkite-agent: ${lastWords}`);
  return answer.toString('latin1');
}
