#!/bin/sh
# Signs with a key in Azure Key Vault or a managed HSM: tidegate … --key exec:./sign-with-azure-key-vault.sh
#
# The key: az keyvault key create --vault-name release --name dc150 --kty EC-HSM --curve P-256 --ops sign verify
# Needs:   the Azure CLI, 2.68 or later (earlier ones cannot be given a digest), with the role "Key Vault Crypto User"; openssl.
# Set:     AZURE_KEY_ID, its URL with a version: https://release.vault.azure.net/keys/dc150/0123…
set -eu
: "${AZURE_KEY_ID:?Set AZURE_KEY_ID to the URL of one version of a key on curve P-256.}"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

case "${1:-}" in
public-key)
  az keyvault key download --id "$AZURE_KEY_ID" --encoding PEM --file "$folder/public.pem" >&2
  cat "$folder/public.pem"
  ;;
sign)
  digest=$(openssl dgst -sha256 -binary | openssl base64 -A)
  raw=$(az keyvault key sign --id "$AZURE_KEY_ID" --algorithm ES256 --digest "$digest" --query signature --output tsv)
  # Key Vault answers r and s side by side; TUF and Sigstore write them as a DER SEQUENCE.
  hex=$(printf '%s' "$raw" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
  if [ "${#hex}" -ne 128 ]; then
    echo "Key Vault answered ${#hex} hex digits instead of 128: is the key on curve P-256?" >&2
    exit 1
  fi
  printf 'asn1=SEQUENCE:signature\n[signature]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' \
    "$(printf '%s' "$hex" | cut -c1-64)" "$(printf '%s' "$hex" | cut -c65-128)" > "$folder/signature.conf"
  openssl asn1parse -genconf "$folder/signature.conf" -noout -out "$folder/signature.der"
  openssl base64 -A -in "$folder/signature.der"
  ;;
*)
  echo "usage: $0 public-key | sign" >&2
  exit 2
  ;;
esac
