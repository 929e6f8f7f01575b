#!/bin/sh
# Makes the certificates and revocation lists of the CMS vectors, once: their keys and signatures are chosen at random.
# Run it in this directory only to begin anew; then bless the vectors. Needs openssl 3.
set -eu
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cat > "$work/ca.cnf" <<END
[ca]
default_ca = own
[own]
database = $work/database
serial = $work/serial
crlnumber = $work/crlnumber
new_certs_dir = $work
default_md = sha256
policy = any
crl_extensions = list
default_startdate = 20250101000000Z
default_enddate = 20350101000000Z
[any]
commonName = supplied
[list]
authorityKeyIdentifier = keyid
[issuer]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
[name]
END
: > "$work/database"
echo 01 > "$work/serial"
echo 01 > "$work/crlnumber"

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$1.key" 2>/dev/null; }
certificate() { # subject, its key, extensions, and who signs
    openssl req -config "$work/ca.cnf" -new -key "$2" -subj "/CN=$1" -out "$work/request"
    name=$1 extensions=$3
    shift 3
    openssl ca -config "$work/ca.cnf" -batch -notext -extensions "$extensions" -in "$work/request" "$@" \
        -out "$work/$name.pem" 2>/dev/null
}
list() { # issuer
    openssl ca -config "$work/ca.cnf" -gencrl -cert "$work/$1.pem" -keyfile "$work/$1.key" \
        -crl_lastupdate 20250101000000Z -crl_nextupdate 20350101000000Z 2>/dev/null
}

for issuer in root stranger between; do key $issuer; done
certificate root "$work/root.key" issuer -selfsign -keyfile "$work/root.key"
certificate stranger "$work/stranger.key" issuer -selfsign -keyfile "$work/stranger.key"
certificate between "$work/between.key" issuer -cert "$work/root.pem" -keyfile "$work/root.key"
certificate signer es256.key signer -cert "$work/between.pem" -keyfile "$work/between.key"

cp "$work/root.pem" root.pem
cp "$work/stranger.pem" stranger.pem
cat "$work/signer.pem" "$work/between.pem" > chain.pem
{ list between; list root; } > lists.pem
openssl ca -config "$work/ca.cnf" -revoke "$work/signer.pem" -cert "$work/between.pem" -keyfile "$work/between.key" \
    2>/dev/null
{ list between; list root; } > lists-revoked.pem
