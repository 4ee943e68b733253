#!/bin/bash
# Makes the fixtures beside it with the openssl program: keys in every form, and chains with openssl's own verdict on
# each. What is here was made with OpenSSL 3.0; run again only to add something, since all keys change.
set -eu
cd "$(dirname "$0")"
NOW=2000000000 # 2033-05-18: when the chains are looked at
PASSWORD="correct horse"
rm -rf keys chains && mkdir keys chains
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

quiet() { "$@" 2>>"$work/log" || { tail -3 "$work/log" >&2; exit 1; }; }

# --- keys: one of each kind, and every form that people have
key() { quiet openssl genpkey -out "keys/$1.pem" "${@:2}"; quiet openssl pkey -in "keys/$1.pem" -pubout -outform DER -out "keys/$1.spki"; }
key rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
key p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
key p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
key p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
key ed25519 -algorithm ED25519
for kind in rsa p256 p384 p521 ed25519; do
  quiet openssl pkcs8 -topk8 -nocrypt -in keys/$kind.pem -outform DER -out keys/$kind.pkcs8.der
  quiet openssl pkcs8 -topk8 -in keys/$kind.pem -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 2048 -passout "pass:$PASSWORD" -out keys/$kind.pbkdf2.pem
done
quiet openssl pkcs8 -topk8 -in keys/rsa.pem -scrypt -scrypt_N 1024 -passout "pass:$PASSWORD" -outform DER -out keys/rsa.scrypt.der
quiet openssl pkcs8 -topk8 -in keys/p256.pem -v2 des3 -v2prf hmacWithSHA1 -iter 2048 -passout "pass:$PASSWORD" -out keys/p256.3des.pem
quiet openssl rsa -in keys/rsa.pem -traditional -out keys/rsa.pkcs1.pem
quiet openssl rsa -in keys/rsa.pem -traditional -outform DER -out keys/rsa.pkcs1.der
quiet openssl rsa -in keys/rsa.pem -traditional -aes128 -passout "pass:$PASSWORD" -out keys/rsa.old-encrypted.pem
quiet openssl ec -in keys/p384.pem -out "$work/sec1.pem"
{ openssl ecparam -name secp384r1; cat "$work/sec1.pem"; } >keys/p384.sec1.pem # with a block of parameters before it
quiet openssl ec -in keys/p384.pem -outform DER -out keys/p384.sec1.der
quiet openssl ec -in keys/p256.pem -no_public -outform DER -out keys/p256.sec1-without-point.der

# a signature by each, to be checked by us
printf 'InitiatorSignedOctets' >keys/message
for kind in rsa p256 p384 p521; do
  for hash in sha256 sha384 sha512; do quiet openssl dgst -$hash -sign keys/$kind.pem -out keys/$kind.$hash.sig keys/message; done
done
for hash in sha256 sha384 sha512; do
  quiet openssl dgst -$hash -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sign keys/rsa.pem -out keys/rsa.pss-$hash.sig keys/message
done
quiet openssl dgst -sha1 -sign keys/rsa.pem -out keys/rsa.sha1.sig keys/message
quiet openssl pkeyutl -sign -rawin -inkey keys/ed25519.pem -in keys/message -out keys/ed25519.sig

# --- chains
: >"$work/index"
for name in ec ec2 ec3 ec4 ec5; do quiet openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$name.key"; done
cp keys/rsa.pem "$work/rsa.key"; cp keys/ed25519.pem "$work/ed25519.key"; cp keys/p384.pem "$work/p384.key"; cp keys/p521.pem "$work/p521.key"
CA='basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign'
PEER='basicConstraints=CA:FALSE
keyUsage=digitalSignature
extendedKeyUsage=serverAuth,clientAuth'

# cert NAME SUBJECT KEY ISSUER ISSUER_KEY EXTENSIONS [options]: ISSUER - for self-signed
cert() {
  local name=$1 subject=$2 key=$3 issuer=$4 signer=$5 extensions=$6; shift 6
  printf 'subjectKeyIdentifier=hash\n' >"$work/ext"
  [ "$issuer" = - ] || [ "$issuer" = v1-root ] || printf 'authorityKeyIdentifier=keyid\n' >>"$work/ext"
  printf '%s\n' "$extensions" >>"$work/ext" # last: it may end in sections
  quiet openssl req -new -utf8 -key "$work/$key.key" -subj "$subject" -out "$work/csr"
  local sign=(-signkey "$work/$signer.key")
  [ "$issuer" = - ] || sign=(-CA "$work/$issuer.pem" -CAkey "$work/$signer.key")
  quiet openssl x509 -req -in "$work/csr" "${sign[@]}" -set_serial "0x$(openssl rand -hex 8 | sed 's/^./4/')" -days 20000 -extfile "$work/ext" -out "$work/$name.pem" "$@"
}
# chain NAME LEAF "ANCHORS" "INTERMEDIATES" [time]: keeps the files and openssl's verdict
chain() {
  local name=$1 at=${5:-$NOW}
  cp "$work/$2.pem" "chains/$name.leaf.pem"
  for one in $3; do cat "$work/$one.pem"; done >"chains/$name.trust.pem"
  for one in $4; do cat "$work/$one.pem"; done >"chains/$name.chain.pem"
  local verdict untrusted=()
  [ -s "chains/$name.chain.pem" ] && untrusted=(-untrusted "chains/$name.chain.pem")
  verdict=$(openssl verify -attime "$at" -no-CApath -no-CAstore -CAfile "chains/$name.trust.pem" "${untrusted[@]}" "chains/$name.leaf.pem" 2>&1) && verdict=ok || verdict="error $(grep -o 'error [0-9]*' <<<"$verdict" | head -1 | cut -d' ' -f2)"
  printf '%s %s %s\n' "$name" "$at" "$verdict" >>chains/verdicts
}

cert root '/C=CH/O=Example/CN=Root' ec - ec "$CA"
cert inter '/C=CH/O=Example/CN=Intermediate' ec2 root ec "$CA"
cert leaf '/C=CH/O=Example/CN=gw.example.com' ec3 inter ec2 "$PEER
subjectAltName=DNS:gw.example.com,email:admin@example.com,IP:192.0.2.1,IP:2001:db8::1,dirName:dn
[dn]
C=CH
CN=alternative"
cert direct '/CN=direct' ec3 root ec "$PEER"
chain one-ca direct root ''
chain intermediate leaf root inter
chain intermediate-among-others leaf root 'direct inter root leaf'
chain intermediate-missing leaf root ''
chain expired leaf root inter 9000000000
chain not-yet-valid leaf root inter 1000000000
chain ca-itself inter root ''

cert root-twin '/C=CH/O=Example/CN=Root' ec5 - ec5 "$CA"
chain other-root-of-same-name direct root-twin ''
chain both-roots-of-one-name direct 'root-twin root' ''

# cross-certificates: two roots, each signed by the other too
cert root-b '/C=CH/O=Other/CN=Root B' ec4 - ec4 "$CA"
cert b-by-a '/C=CH/O=Other/CN=Root B' ec4 root ec "$CA"
cert a-by-b '/C=CH/O=Example/CN=Root' ec root-b ec4 "$CA"
cert peer-b '/CN=peer-b' ec3 root-b ec4 "$PEER"
chain cross peer-b root 'a-by-b b-by-a'
chain cross-there-and-back peer-b root-twin 'a-by-b b-by-a root-b root'

cert no-ca '/CN=No CA' ec2 root ec 'basicConstraints=CA:FALSE'
cert under-no-ca '/CN=x' ec3 no-ca ec2 "$PEER"
chain not-a-ca under-no-ca root no-ca
cert silent '/CN=Silent' ec2 root ec 'keyUsage=keyCertSign'
cert under-silent '/CN=x' ec3 silent ec2 "$PEER"
chain no-basic-constraints under-silent root silent
cert no-sign '/CN=No keyCertSign' ec2 root ec 'basicConstraints=critical,CA:TRUE
keyUsage=critical,cRLSign'
cert under-no-sign '/CN=x' ec3 no-sign ec2 "$PEER"
chain no-key-cert-sign under-no-sign root no-sign
cert bare-ca '/CN=No keyUsage' ec2 root ec 'basicConstraints=critical,CA:TRUE'
cert under-bare-ca '/CN=x' ec3 bare-ca ec2 "$PEER"
chain ca-without-key-usage under-bare-ca root bare-ca

cert path0 '/CN=Path 0' ec2 root ec 'basicConstraints=critical,CA:TRUE,pathlen:0'
cert below0 '/CN=Below' ec4 path0 ec2 "$CA"
cert under-below '/CN=x' ec3 below0 ec4 "$PEER"
cert under-path0 '/CN=x' ec3 path0 ec2 "$PEER"
chain pathlen-kept under-path0 root path0
chain pathlen-exceeded under-below root 'path0 below0'
cert path0-new '/CN=Path 0' ec5 path0 ec2 'basicConstraints=critical,CA:TRUE,pathlen:0'
cert under-path0-new '/CN=x' ec3 path0-new ec5 "$PEER"
chain pathlen-self-issued under-path0-new root 'path0 path0-new'

# constrained NAME CONSTRAINTS SUBJECT SAN
constrained() {
  cert "nc-$1" "/CN=Constrained" ec2 root ec "$CA
nameConstraints=critical,$2
[permitted]
C=CH
O=Example"
  cert "nc-$1-leaf" "$3" ec3 "nc-$1" ec2 "$PEER${4:+
subjectAltName=$4}
[dn]
C=CH
O=Example
CN=alternative
[other]
C=DE"
  chain "constraint-$1" "nc-$1-leaf" root "nc-$1"
}
constrained dns-inside 'permitted;DNS:example.com' /CN=x DNS:gw.example.com
constrained dns-itself 'permitted;DNS:example.com' /CN=x DNS:example.com
constrained dns-outside 'permitted;DNS:example.com' /CN=x DNS:badexample.com
constrained dns-one-outside 'permitted;DNS:example.com' /CN=x DNS:gw.example.com,DNS:gw.example.net
constrained dns-excluded 'permitted;DNS:example.com,excluded;DNS:secret.example.com' /CN=x DNS:gw.secret.example.com
constrained dns-other-form 'permitted;DNS:example.com' /CN=x IP:192.0.2.1
constrained ip-inside 'permitted;IP:192.0.2.0/255.255.255.0' /CN=x IP:192.0.2.77
constrained ip-outside 'permitted;IP:192.0.2.0/255.255.255.0' /CN=x IP:192.0.3.1
constrained ip6-outside 'permitted;IP:192.0.2.0/255.255.255.0' /CN=x IP:2001:db8::1
constrained ip-excluded 'excluded;IP:2001:db8::/ffff:ffff::' /CN=x IP:2001:db8::1
constrained email-host 'permitted;email:example.com' /CN=x email:u@example.com
constrained email-subdomain 'permitted;email:example.com' /CN=x email:u@mail.example.com
constrained email-domain 'permitted;email:.example.com' /CN=x email:u@mail.example.com
constrained email-mailbox 'excluded;email:u@example.com' /CN=x email:u@example.com
constrained email-in-subject 'permitted;email:example.com' '/CN=x/emailAddress=u@example.net' ''
constrained dn-inside 'permitted;dirName:permitted' '/C=CH/O=Example/CN=x' DNS:gw
constrained dn-outside 'permitted;dirName:permitted' '/C=CH/O=Other/CN=x' DNS:gw
constrained dn-alternative-outside 'permitted;dirName:permitted' '/C=CH/O=Example/CN=x' dirName:other
constrained dn-alternative-inside 'permitted;dirName:permitted' '/C=CH/O=Example/CN=x' dirName:dn
constrained dn-case 'permitted;dirName:permitted' '/C=ch/O=example/CN=x' DNS:gw
constrained uri 'permitted;URI:.example.com' /CN=x URI:https://gw.example.net/

cert critical '/CN=x' ec3 root ec "$PEER
1.2.3.4.5=critical,ASN1:NULL"
chain critical-extension critical root ''
cert uncritical '/CN=x' ec3 root ec "$PEER
1.2.3.4.5=ASN1:NULL"
chain unknown-extension uncritical root ''

# purposes
purpose() { cert "$1" /CN=x ec3 root ec "$2"; chain "$1" "$1" root ''; }
purpose eku-code-signing 'extendedKeyUsage=codeSigning'
purpose eku-any 'extendedKeyUsage=anyExtendedKeyUsage'
purpose eku-ipsec-ike 'extendedKeyUsage=codeSigning,1.3.6.1.5.5.7.3.17'
purpose eku-server 'extendedKeyUsage=serverAuth'
purpose no-extensions-but-key-id 'basicConstraints=CA:FALSE'
purpose ku-encipherment 'keyUsage=keyEncipherment'
purpose ku-non-repudiation 'keyUsage=nonRepudiation'
cert ca-code-signing '/CN=Code' ec2 root ec "$CA
extendedKeyUsage=codeSigning"
cert under-code-signing /CN=x ec3 ca-code-signing ec2 "$PEER"
chain eku-of-ca under-code-signing root ca-code-signing
cert ca-policy '/CN=Policy' ec2 root ec "$CA
policyConstraints=critical,requireExplicitPolicy:0"
cert under-policy /CN=x ec3 ca-policy ec2 "$PEER"
chain explicit-policy under-policy root ca-policy
cert self '/CN=self' ec3 - ec3 "$PEER"
chain trusted-by-itself self self ''
cert by-sha224 /CN=x ec3 root ec "$PEER" -sha224
chain signed-with-sha224 by-sha224 root ''
quiet openssl req -new -key "$work/ec3.key" -subj /CN=v1 -out "$work/csr"
quiet openssl x509 -req -in "$work/csr" -CA "$work/root.pem" -CAkey "$work/ec.key" -set_serial 7 -days 20000 -out "$work/v1.pem"
chain version-1-peer v1 root ''
quiet openssl req -new -key "$work/ec4.key" -subj '/CN=V1 Root' -out "$work/csr"
quiet openssl x509 -req -in "$work/csr" -signkey "$work/ec4.key" -set_serial 7 -days 20000 -out "$work/v1-root.pem"
cert under-v1 /CN=x ec3 v1-root ec4 "$PEER"
chain version-1-root under-v1 v1-root ''

# signatures of every kind
for kind in rsa p384 p521 ed25519; do
  cert "root-$kind" "/CN=Root $kind" $kind - $kind "$CA"
  cert "by-$kind" "/CN=x" ec3 "root-$kind" $kind "$PEER"
  chain "signed-by-$kind" "by-$kind" "root-$kind" ''
  cert "of-$kind" "/CN=x" $kind root ec "$PEER"
  chain "key-$kind" "of-$kind" root ''
done
cert by-rsa-512 '/CN=x' ec3 root-rsa rsa "$PEER" -sha512
chain signed-by-rsa-sha512 by-rsa-512 root-rsa ''
cert by-pss '/CN=x' ec3 root-rsa rsa "$PEER" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sha256
chain signed-by-rsa-pss by-pss root-rsa ''
cert by-sha1 '/CN=x' ec3 root-rsa rsa "$PEER" -sha1
chain signed-with-sha1 by-sha1 root-rsa ''

# names that no identity may be taken from (C6)
cert names '/CN=cn.example.com/O=192.0.2.9' ec3 root ec "$PEER
subjectAltName=DNS:*.example.com,DNS:dns.example.com,email:*@example.com,URI:https://uri.example.com,IP:192.0.2.1"
chain names names root ''
quiet openssl x509 -in "$work/names.pem" -outform DER -out chains/names.der

# --- PKCS#12 and requests
P12=(-export -inkey "$work/ec3.key" -in "$work/leaf.pem" -certfile chains/intermediate.chain.pem -name gateway -passout "pass:$PASSWORD")
quiet openssl pkcs12 "${P12[@]}" -out keys/modern.p12
quiet openssl pkcs12 "${P12[@]}" -legacy -out keys/legacy.p12
quiet openssl pkcs12 "${P12[@]}" -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 -out keys/3des.p12
quiet openssl pkcs12 -export -inkey "$work/ec3.key" -in "$work/leaf.pem" -passout pass: -out keys/empty-password.p12
quiet openssl req -new -key keys/rsa.pem -subj /CN=asked -addext 'subjectAltName=DNS:asked.example.com,IP:192.0.2.5' -out keys/request.pem
quiet openssl req -new -key keys/ed25519.pem -subj '/C=CH/CN=asked' -outform DER -out keys/request-plain.der
echo "$NOW" >chains/now
cat chains/verdicts
