//! Files in which keys and certificates are kept: PEM with whatever stands around it, DER, PKCS#12.
use crate::{BadKey, Certificate, Malformed, PrivateKey};
use der::pem::LineEnding;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12Archive, PrivateKeyChain};
use std::fmt;
use zeroize::Zeroizing;

/// Certificates of the largest file that is read.
const MAX_CERTIFICATES: usize = 4096;

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// Nothing of the kind is in it.
    #[error("no {0} in it")]
    Empty(&'static str),
    /// One of its certificates is wrong.
    #[error("certificate {at} in it: {why}")]
    Certificate {
        /// Which, from 1.
        at: usize,
        /// Why.
        why: BadKey,
    },
    /// A key or a request in it is wrong.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// More certificates than are read.
    #[error("{0} certificates in it; up to 4096 are read")]
    TooMany(usize),
    /// The PKCS#12 file cannot be opened.
    #[error("PKCS#12: {0}; is the password right?")]
    Pkcs12(String),
}

/// What a PKCS#12 file holds: somebody's key and certificate, and the CAs around them.
#[derive(Debug)]
pub struct Identified {
    /// The first key in the file.
    pub key: Option<PrivateKey>,
    /// The certificate for that key.
    pub certificate: Option<Certificate>,
    /// All other certificates, in the order of the file.
    pub others: Vec<Certificate>,
}

/// Reads all certificates of a file: PEM, where other blocks and text are passed over, or one in DER.
///
/// # Errors
/// [`BadFile`].
pub fn certificates(octets: &[u8]) -> Result<Vec<Certificate>, BadFile> {
    let numbered = |(at, der): (usize, Result<Zeroizing<Vec<u8>>, BadKey>)| {
        let read = der.and_then(|der| Certificate::from_der(&der));
        read.map_err(|why| BadFile::Certificate { at: at + 1, why })
    };
    let text = std::str::from_utf8(octets).ok().filter(|text| text.contains(BEGIN));
    let Some(text) = text else {
        return Ok(vec![numbered((0, Ok(Zeroizing::new(octets.to_vec()))))?]);
    };
    let wanted = |block: &Block<'_>| matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE");
    let count = blocks(text).filter(wanted).count();
    match count {
        0 => return Err(BadFile::Empty("certificate")),
        count if count > MAX_CERTIFICATES => return Err(BadFile::TooMany(count)),
        _ => {}
    }
    blocks(text).filter(wanted).map(|block| block.decode()).enumerate().map(numbered).collect()
}

/// Reads a PKCS#12 file (RFC 7292) in DER. Old files encrypted by 3DES or RC2 open too.
///
/// For files of the operator's own alone: how often its password is hashed is the file's choice, and the library that
/// opens it does not wipe its copy of the key.
///
/// # Errors
/// [`BadFile`].
pub fn pkcs12(octets: &[u8], password: &str) -> Result<Identified, BadFile> {
    let archive = Pkcs12Archive::from_pkcs12(octets, password)
        .map_err(|why| BadFile::Pkcs12(why.to_string()))?;
    let key = archive.keys.first().map(|bag| PrivateKey::from_pkcs8(bag.key.as_der()));
    let key = key.transpose()?;
    if archive.certs.len() > MAX_CERTIFICATES {
        return Err(BadFile::TooMany(archive.certs.len()));
    }
    let mut others = Vec::new();
    for (at, bag) in archive.certs.iter().enumerate() {
        let read = Certificate::from_der(bag.cert.as_der());
        others.push(read.map_err(|why| BadFile::Certificate { at: at + 1, why })?);
    }
    let spki = key.as_ref().map(|key| key.public_key().spki());
    let own = others.iter().position(|one| Some(one.public_key().spki()) == spki);
    let certificate = own.map(|at| others.remove(at));
    Ok(Identified { key, certificate, others })
}

/// Writes a PKCS#12 file: key, its certificate, CAs; PBES2 with AES-256-CBC, HMAC-SHA-256 over all.
///
/// # Errors
/// [`BadFile::Pkcs12`].
pub fn to_pkcs12(
    name: &str,
    key: &PrivateKey,
    chain: &[Certificate],
    password: &str,
) -> Result<Vec<u8>, BadFile> {
    let failed = |why: p12_keystore::error::Error| BadFile::Pkcs12(why.to_string());
    let certificates: Vec<_> = chain
        .iter()
        .map(|one| p12_keystore::Certificate::from_der(one.der()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let pkcs8 = key.to_pkcs8();
    let key = p12_keystore::PrivateKey::from_der(&pkcs8).map_err(failed)?;
    let id = chain.first().map(Certificate::fingerprint).unwrap_or_default();
    let mut store = KeyStore::new();
    let entry = PrivateKeyChain::new(id.as_slice(), key, certificates);
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(entry));
    store.writer(password).write().map_err(failed)
}

/// A PEM block: 64 characters a line, as everybody reads it.
pub fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, LineEnding::LF, der).unwrap_or_default()
}

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// A block between `-----BEGIN X-----` and `-----END X-----`, not yet decoded.
pub(crate) struct Block<'a> {
    pub label: &'a str,
    body: &'a str,
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({}, ..)", self.label)
    }
}

impl Block<'_> {
    /// The octets. Lines may be of any length.
    pub fn decode(&self) -> Result<Zeroizing<Vec<u8>>, BadKey> {
        if self.body.contains("Proc-Type:") {
            let form = "a key in OpenSSL's old encrypted form; convert it with: openssl pkcs8 \
                        -topk8 -in KEY -out NEW";
            return Err(BadKey::Form(form));
        }
        let mut block = Zeroizing::new(String::with_capacity(self.body.len() * 2 + 256));
        let label = self.label;
        block.push_str(&format!("{BEGIN}{label}{DASHES}\n"));
        let plain = self.body.bytes().filter(|octet| !octet.is_ascii_whitespace());
        for (at, octet) in plain.enumerate() {
            if at > 0 && at % 64 == 0 {
                block.push('\n');
            }
            block.push(octet.into());
        }
        block.push_str(&format!("\n-----END {label}{DASHES}\n"));
        match der::pem::decode_vec(block.as_bytes()) {
            Ok((_, der)) => Ok(Zeroizing::new(der)),
            Err(_) => Err(Malformed { what: "PEM block" }.into()),
        }
    }
}

/// The PEM blocks of a text, one after the other. A block without its end is passed over.
pub(crate) fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once(BEGIN)?;
            rest = after;
            let Some((label, after)) = after.split_once(DASHES) else { continue };
            let plain = label.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic());
            if !plain || label.len() > 64 {
                continue;
            }
            let end = format!("-----END {label}{DASHES}");
            let Some((body, after)) = after.split_once(&end) else { continue };
            rest = after;
            return Some(Block { label, body });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_among_other_text() {
        let text = "Bag Attributes\n-----BEGIN A-----\nAAEC\n-----END A-----\nnoise -----BEGIN B\n\
                    -----BEGIN B-----\r\nAA\r\nEC\r\n-----END B-----\n-----BEGIN C-----\nAAEC\n";
        let found: Vec<_> = blocks(text).collect();
        assert_eq!(found.iter().map(|block| block.label).collect::<Vec<_>>(), ["A", "B"]);
        for block in found {
            assert_eq!(block.decode().unwrap().as_slice(), [0, 1, 2]);
        }
    }

    #[test]
    fn long_and_short_lines_decode_to_what_was_written() {
        for octets in [0usize, 1, 47, 48, 49, 96, 200] {
            let der: Vec<u8> = (0..octets).map(|octet| octet as u8).collect();
            let one_line = pem("X", &der).replace('\n', "").replace("X-----", "X-----\n");
            let block = blocks(&one_line).next();
            if octets > 0 {
                assert_eq!(block.unwrap().decode().unwrap().as_slice(), der);
            }
        }
    }

    #[test]
    fn old_encrypted_pem_says_what_to_do() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAA==\n\
                    -----END RSA PRIVATE KEY-----\n";
        let error = PrivateKey::read(text.as_bytes(), Some("x")).unwrap_err();
        assert!(error.to_string().contains("openssl pkcs8 -topk8"), "{error}");
    }
}
