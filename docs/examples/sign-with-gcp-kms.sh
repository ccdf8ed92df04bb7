#!/bin/sh
# Signs with a key in Google Cloud KMS: tidegate … --key exec:./sign-with-gcp-kms.sh
#
# The key: gcloud kms keys create dc150 --keyring release --location europe-west3 \
#            --purpose asymmetric-signing --default-algorithm ec-sign-p256-sha256 --protection-level hsm
# Needs:   the gcloud CLI with roles/cloudkms.signerVerifier on that key; openssl.
# Set:     GCP_KMS_LOCATION, GCP_KMS_KEYRING, GCP_KMS_KEY, GCP_KMS_VERSION; project and credentials as for any other call of the CLI.
set -eu
: "${GCP_KMS_LOCATION:?Set GCP_KMS_LOCATION, e.g. europe-west3.}"
: "${GCP_KMS_KEYRING:?Set GCP_KMS_KEYRING, e.g. release.}"
: "${GCP_KMS_KEY:?Set GCP_KMS_KEY to the name of a key of algorithm ec-sign-p256-sha256.}"
: "${GCP_KMS_VERSION:?Set GCP_KMS_VERSION, e.g. 1: a new version is a new key, and has to be trusted first.}"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

case "${1:-}" in
public-key)
  gcloud kms keys versions get-public-key "$GCP_KMS_VERSION" --location "$GCP_KMS_LOCATION" \
    --keyring "$GCP_KMS_KEYRING" --key "$GCP_KMS_KEY" --output-file "$folder/public.pem" >&2
  cat "$folder/public.pem"
  ;;
sign)
  # gcloud hashes the file itself, sends the digest, and checks that it arrived.
  cat > "$folder/message"
  gcloud kms asymmetric-sign --location "$GCP_KMS_LOCATION" --keyring "$GCP_KMS_KEYRING" --key "$GCP_KMS_KEY" \
    --version "$GCP_KMS_VERSION" --digest-algorithm sha256 \
    --input-file "$folder/message" --signature-file "$folder/signature" >&2
  # Its help says base64, and versions of it write DER. In base64, DER of such a signature begins with ME.
  case "$(head -c 2 "$folder/signature" | tr -d '\0')" in
  ME) cat "$folder/signature" ;;
  *) openssl base64 -A -in "$folder/signature" ;;
  esac
  ;;
*)
  echo "usage: $0 public-key | sign" >&2
  exit 2
  ;;
esac
