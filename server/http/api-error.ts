/**
 * Everything that the service refuses over HTTP: one class, a closed set of codes, each with its status and what to do about it.
 * A refusal of the SDK (`Refusal`) keeps its own code and is answered with 422.
 */
export const API_ERRORS = {
  // The request itself
  REQUEST_MALFORMED: { status: 400, advice: 'Send HTTP/1.1, and as many bytes as announced.' },
  HEADERS_TOO_LARGE: { status: 431, advice: 'Send shorter headers.' },
  REQUEST_TIMEOUT: { status: 408, advice: 'Send the request again, faster or in smaller parts.' },
  BODY_MALFORMED: { status: 400, advice: 'The body is not JSON. Send one JSON value in UTF-8.' },
  BODY_TOO_LARGE: { status: 413, advice: 'The body is longer than this request may be. Send less at once.' },
  BODY_TRUNCATED: { status: 400, advice: 'The connection ended before the whole body came. Send it again.' },
  CONTENT_TYPE: { status: 415, advice: 'Send the body with the content type that the detail names.' },
  FIELD_INVALID: { status: 400, advice: 'Correct the field that the pointer names.' },
  NOT_FOUND: {
    status: 404,
    advice: 'Nothing of that name is here for you. Check the path and the names in it.',
  },
  METHOD_NOT_ALLOWED: { status: 405, advice: 'Use one of the methods that the Allow header lists.' },
  RANGE_INVALID: { status: 416, advice: 'Ask for a range within the file.' },
  RATE_LIMITED: { status: 429, advice: 'Wait as long as Retry-After says, then try again.' },
  // Who is calling, and what they may do
  CREDENTIAL_MISSING: { status: 401, advice: 'Send "Authorization: Bearer <id>.<secret>".' },
  CREDENTIAL_INVALID: {
    status: 401,
    advice: 'The credential is unknown or its secret is wrong. Ask an admin for one.',
  },
  CREDENTIAL_REVOKED: { status: 401, advice: 'The credential was revoked. Ask an admin for a new one.' },
  PERMISSION_DENIED: { status: 403, advice: 'Your roles do not allow this. Ask somebody whose roles do.' },
  // Chargers
  CERTIFICATE_MISSING: { status: 401, advice: 'Present the client certificate that enrolment gave out.' },
  CERTIFICATE_INVALID: {
    status: 401,
    advice:
      "The client certificate has expired or is not from this service's CA. Enrol the charger with a new token.",
  },
  CHARGER_UNKNOWN: {
    status: 403,
    advice: 'No charger has this certificate: it was enrolled again, or never. Enrol it with a new token.',
  },
  CHARGER_RETIRED: {
    status: 403,
    advice: 'The charger was retired. Remove it, or adopt it under another serial number.',
  },
  TOKEN_UNKNOWN: { status: 403, advice: 'The enrolment token is unknown. Ask an operator for one.' },
  TOKEN_USED: { status: 403, advice: 'The enrolment token was used before. Ask an operator for another.' },
  TOKEN_EXPIRED: { status: 403, advice: 'The enrolment token has expired. Ask an operator for another.' },
  TOKEN_MISMATCH: {
    status: 403,
    advice:
      'The enrolment token is for another serial number or hardware. Use the one made for this charger.',
  },
  CSR_INVALID: {
    status: 400,
    advice: 'Send a PKCS #10 request in PEM for a P-256 key, signed with that key.',
  },
  ASSIGNMENT_UNKNOWN: {
    status: 404,
    advice: 'This charger has no such assignment. Check in to learn what is wanted.',
  },
  ACTIVATION_HELD: {
    status: 409,
    advice: 'The image may stay staged but not be activated now. Check in again and confirm later.',
  },
  REPOSITORY_BEHIND: {
    status: 503,
    advice:
      'The service was restored from a backup that is older than what chargers trust. Wait as long as Retry-After says; people publish what is missing with "tidegate publish".',
  },
  // Operators' requests
  ALREADY_EXISTS: {
    status: 409,
    advice: 'Something of that name is there already. Choose another, or use it.',
  },
  WRONG_STATUS: {
    status: 409,
    advice: 'This makes no sense in the present status. Look at it, then decide again.',
  },
  AUTHOR_CANNOT_APPROVE: { status: 403, advice: 'Ask somebody other than the author to approve this.' },
  NOT_INDEPENDENT: {
    status: 403,
    advice:
      'Whom one person added alone counts as that person. Let somebody independent of both do this, or confirm the added one first: "tidegate operator confirm <name>".',
  },
  LAST_ADMIN: {
    status: 409,
    advice: 'Nobody could add people any more. Add another admin first, then revoke this one.',
  },
  ALREADY_APPROVED: { status: 409, advice: 'You have approved this already. Ask another person.' },
  ROLLOUT_LIVE: {
    status: 409,
    advice:
      'One rollout of a product runs at a time. Let that one end, cancel or halt it; or keep this one as a draft and submit it then.',
  },
  NOTHING_TO_APPROVE: {
    status: 409,
    advice: 'Nothing waits for an approval now. Look at what the rollout waits for.',
  },
  PLAN_INVALID: { status: 422, advice: 'Correct what the problems list, each by its pointer.' },
  REASON_REQUIRED: { status: 400, advice: 'Say why, in "reason": it goes into the audit log.' },
  PRECONDITION_FAILED: {
    status: 412,
    advice: 'It has changed since you read it. Read it again, then send the new ETag in If-Match.',
  },
  IDEMPOTENCY_MISMATCH: {
    status: 422,
    advice: 'This Idempotency-Key was used for another request. Use a new key for a new request.',
  },
  IDEMPOTENCY_IN_PROGRESS: {
    status: 409,
    advice:
      'The same request with this Idempotency-Key is being carried out. Ask again after Retry-After for its answer.',
  },
  CONFLICT: { status: 409, advice: 'Somebody else changed it at the same moment. Try again.' },
  // Publishing
  PRODUCT_UNKNOWN: { status: 404, advice: 'No such product. Add it first, with its delegation signed.' },
  HARDWARE_UNKNOWN: {
    status: 422,
    advice:
      'No release of the product fits this hardware. Check its spelling, or say that it is new ("newHardware", --new-hardware).',
  },
  RELEASE_UNKNOWN: { status: 404, advice: 'No such release. Publish it first.' },
  RELEASE_YANKED: {
    status: 409,
    advice: 'The release was yanked and is not offered any more. Publish another version.',
  },
  RELEASE_DEPRECATED: {
    status: 409,
    advice:
      'Its engineers want nobody brought to it any more. Roll out another version, or let them take that back: "tidegate release deprecate --undo".',
  },
  VERSION_EXISTS: {
    status: 409,
    advice: 'This version is published with other bytes or properties. Give the new build a new version.',
  },
  DIGEST_EXISTS: {
    status: 409,
    advice: 'These bytes are published as another version of this product. Use that release.',
  },
  ROLE_VERSION: {
    status: 409,
    advice:
      'The version is not exactly one above the published one. Start again from the current repository.',
  },
  LIFETIME_TOO_LONG: {
    status: 422,
    advice: 'Offline roles live at most 90 days. Sign the role again with an earlier expiry.',
  },
  TARGET_INCONSISTENT: {
    status: 422,
    advice: "The target's path and its custom fields disagree. Propose the release again.",
  },
  FALLBACK_UNKNOWN: {
    status: 422,
    advice: 'A fallback names an image that the product role does not list. Remove it, or list the image.',
  },
  LENGTH_REQUIRED: { status: 411, advice: 'Send the Content-Length of the file.' },
  STAGING_FULL: {
    status: 429,
    advice: 'Too many uploads wait for a publication. Publish them, or wait until they expire.',
  },
  UPLOAD_MISMATCH: {
    status: 422,
    advice: 'The bytes received are not those that were announced. Upload them again.',
  },
  UPLOAD_MISSING: {
    status: 409,
    advice: 'A file that the metadata names was not uploaded. Upload it, then publish again.',
  },
  METADATA_REFUSED: {
    status: 422,
    advice: 'The signed metadata does not verify. Correct what the detail names, and let it be signed again.',
  },
  WOULD_STRAND: {
    status: 409,
    advice:
      'Chargers in the field would be left without a way on. Keep what the problems list, give those chargers a release to go to first, or let them go knowingly ("strand", --strand).',
  },
  REPOSITORY_FENCED: {
    status: 503,
    advice:
      'Another service, with another database, has written into this store; this one publishes nothing. Stop it. Or stop the other one, and let this one learn from the store what it lacks: "tidegate repository take-over".',
  },
  // The service
  INTERNAL: {
    status: 500,
    advice: 'The service failed. Read the cause in its log, or ask whoever runs it to.',
  },
  STORE_UNAVAILABLE: {
    status: 503,
    advice:
      'The store of images and metadata does not answer, or has no room. Try again after Retry-After; its own error is in the log of the service.',
  },
  STORE_INCOMPLETE: {
    status: 500,
    advice:
      'The store lacks a file that was published. Restore it from a backup, or bring it back from the versions that the bucket keeps; its bytes are what its name or its parent says.',
  },
  UNAVAILABLE: {
    status: 503,
    advice: 'The service is starting, stopping or overloaded. Try again after Retry-After.',
  },
} as const satisfies Record<string, { status: number; advice: string }>;

export type ApiErrorCode = keyof typeof API_ERRORS;

/** One thing that is wrong with one field. */
export interface FieldProblem {
  /** JSON pointer into the body, RFC 6901; a query parameter is `?name`. */
  pointer: string;
  code: string;
  detail: string;
}

export interface ApiErrorOptions {
  /** JSON pointer to the field at fault. */
  pointer?: string;
  problems?: FieldProblem[];
  /** Further members of the problem, RFC 9457 §3.2. */
  members?: Record<string, unknown>;
  /** Headers that belong to the answer, e.g. `Retry-After`. */
  headers?: Record<string, string>;
  cause?: unknown;
}

/** A refusal that the caller can do something about. Thrown anywhere below a router; `problemHandler` answers it. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ApiErrorCode;
  readonly status: number;
  readonly detail: string;
  readonly pointer: string | undefined;
  readonly problems: FieldProblem[] | undefined;
  readonly members: Record<string, unknown>;
  readonly headers: Record<string, string>;

  /** @param detail what was seen, in a few words and without secrets; what to do follows from the code. */
  constructor(code: ApiErrorCode, detail: string, options: ApiErrorOptions = {}) {
    super(`${detail} [${code}] ${API_ERRORS[code].advice}`, { cause: options.cause });
    this.code = code;
    this.status = API_ERRORS[code].status;
    this.detail = detail;
    this.pointer = options.pointer;
    this.problems = options.problems;
    this.members = options.members ?? {};
    this.headers = options.headers ?? {};
  }
}
