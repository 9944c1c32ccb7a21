#!/bin/sh
# Signs one Windows program in place: sign.sh FILE.  Needs osslsigncode and
#   CELLSEG1_CERTIFICATE    a PKCS#12 file with a code signing certificate and its key
#   CELLSEG1_PASSWORD_FILE  a file with its password
#   TIMESTAMP_URL           a time stamp service (RFC 3161); without one the signature ends with the certificate
set -eu
file=$1
[ -r "${CELLSEG1_CERTIFICATE:-}" ] || { echo "CELLSEG1_CERTIFICATE names no certificate." >&2; exit 2; }
signed=$file.signed
rm -f "$signed"
set -- -pkcs12 "$CELLSEG1_CERTIFICATE" -h sha256 -n "CellSeg1 Studio"
[ -z "${CELLSEG1_PASSWORD_FILE:-}" ] || set -- "$@" -readpass "$CELLSEG1_PASSWORD_FILE"
[ -z "${TIMESTAMP_URL:-}" ] || set -- "$@" -ts "$TIMESTAMP_URL"
osslsigncode sign "$@" -in "$file" -out "$signed" >&2
mv -f "$signed" "$file"
