#!/bin/sh
# Signs with a key in AWS KMS: tidegate … --key exec:./sign-with-aws-kms.sh
#
# The key: aws kms create-key --key-spec ECC_NIST_P256 --key-usage SIGN_VERIFY
# Needs:   the AWS CLI, version 2, with kms:GetPublicKey and kms:Sign on that key; openssl.
# Set:     AWS_KMS_KEY_ID, an id, an ARN or alias/…; region and credentials as for any other call of the CLI.
set -eu
: "${AWS_KMS_KEY_ID:?Set AWS_KMS_KEY_ID to the id, ARN or alias of a key of spec ECC_NIST_P256.}"

case "${1:-}" in
public-key)
  der=$(aws kms get-public-key --key-id "$AWS_KMS_KEY_ID" --query PublicKey --output text)
  printf '%s\n' "$der" | openssl base64 -d -A | openssl pkey -pubin -inform DER
  ;;
sign)
  # KMS takes messages of up to 4,096 bytes, and digests of any message.
  digest=$(mktemp)
  trap 'rm -f "$digest"' EXIT
  openssl dgst -sha256 -binary > "$digest"
  aws kms sign --key-id "$AWS_KMS_KEY_ID" --message-type DIGEST --signing-algorithm ECDSA_SHA_256 \
    --message "fileb://$digest" --query Signature --output text
  ;;
*)
  echo "usage: $0 public-key | sign" >&2
  exit 2
  ;;
esac
