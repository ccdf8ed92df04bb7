/** Why a store of blobs cannot be used, found out at start. */
export const STORE_ERRORS = {
  STORE_LIBRARY_MISSING:
    'S3 needs the optional package @aws-sdk/client-s3. Install it with "npm ci", without --omit=optional.',
  STORE_UNREACHABLE: 'The store does not answer. Check endpoint and region in TIDEGATE_STORE.',
  STORE_NO_BUCKET:
    'There is no such bucket. Make it, or correct its name, region or endpoint in TIDEGATE_STORE.',
  STORE_DENIED:
    'The store refuses the credentials, or they lack a permission. They come from the AWS SDK’s default chain (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the machine’s role), and need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on the prefix, and s3:ListBucket on the bucket.',
  STORE_NOT_CONDITIONAL:
    'The store ignores or lacks conditional writes (If-None-Match and If-Match on PutObject and CompleteMultipartUpload), without which two services could overwrite each other. Use another one, or a newer version of it.',
  STORE_UNFIT: 'The store does not do what the S3 protocol says. Use another one, or a newer version of it.',
} as const;

export type StoreErrorCode = keyof typeof STORE_ERRORS;

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  /** @param detail what was seen, in a few words, without secrets; what to do follows from the code. */
  constructor(code: StoreErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail} [${code}] ${STORE_ERRORS[code]}`, options);
    this.code = code;
  }
}
