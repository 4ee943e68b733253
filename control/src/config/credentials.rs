//! What peers prove their identities with: shared keys, private keys, certificates; read from where the file says.
use super::de::{Either, Field, Many};
use super::file::{Connection, LocalEnd, RemoteEnd};
use super::problem::{Place, Problems};
use super::text::Text;
use super::tunnel::Tunnels;
use ike::Key;
use ike::settings::{Accept, Credential};
use pki::{Certificate, Identified, PrivateKey, PublicKey, Trust};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Characters below which a PSK can be guessed by whoever records one handshake with it.
const PSK_WEAK: usize = 20;
/// The largest file of certificates, in octets.
const FILE_LIMIT: u64 = 4 << 20;
/// Seconds before its end at which a certificate is told of.
const SOON: u64 = 14 * 86_400;

/// A credential and a digest of it, which changes with it.
pub(super) struct Held<T> {
    pub value: T,
    pub digest: Sha256,
}

fn held<T>(value: T, octets: &[&[u8]]) -> Held<T> {
    let mut digest = Sha256::new();
    for part in octets {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    Held { value, digest }
}

impl Tunnels<'_> {
    /// How we prove who we are, and our certificate if that is it.
    pub(super) fn credential(
        &self,
        name: &Field<String>,
        connection: &Connection,
    ) -> Option<(Held<Credential>, Option<Certificate>)> {
        let end = local_end(connection);
        let place = connection.local.as_ref().map_or(name.place, |field| field.place);
        let own = end.and_then(|end| end.psk.as_ref());
        let asymmetric = end.is_some_and(|end| end.certificate.is_some() || end.key.is_some());
        if let (Some(psk), true) = (own, asymmetric) {
            let message = "a PSK beside a certificate or key; one of them proves who we are, remove the other";
            self.problems.tell(psk.place, "psk", message);
            return None;
        }
        match (end, own.or(connection.psk.as_ref())) {
            (Some(end), _) if end.certificate.is_some() => {
                let (credential, leaf) = self.certificate(end)?;
                Some((credential, Some(leaf)))
            }
            (Some(LocalEnd { key: Some(key), password, .. }), _) => {
                let key = self.private_key(key, password.as_ref())?;
                let spki = key.public_key().spki().to_vec();
                Some((held(Credential::RawKey(Arc::new(key)), &[&spki]), None))
            }
            (_, Some(psk)) => {
                let key = self.psk(psk)?;
                let digest = held((), &[key.expose()]).digest;
                Some((Held { value: Credential::Psk(Arc::new(key)), digest }, None))
            }
            (_, None) => {
                let message = "nothing proves who we are; write psk: {file: …}, or certificate and key under local (or manual \
                               under each child, for keys by hand)";
                self.problems.tell(place, "local", message);
                None
            }
        }
    }

    /// How the peer must prove who it is.
    pub(super) fn accept(
        &self,
        name: &Field<String>,
        connection: &Connection,
    ) -> Option<Held<Accept>> {
        let end = remote_end(connection);
        let place = connection.remote.as_ref().map_or(name.place, |field| field.place);
        let own = end.and_then(|end| end.psk.as_ref());
        let (ca, keys) = (end.and_then(|e| e.ca.as_ref()), end.and_then(|e| e.public_key.as_ref()));
        let ways = [own.is_some(), ca.is_some(), keys.is_some()].iter().filter(|way| **way).count();
        if ways > 1 {
            let message = "more than one way for the peer to prove who it is; keep one of psk, ca and public_key, \
                           or write two connections";
            self.problems.tell(place, "remote", message);
            return None;
        }
        match (ca, keys, own.or(connection.psk.as_ref())) {
            (Some(ca), ..) => self.trust(ca, end.and_then(|end| end.intermediates.as_ref())),
            (_, Some(keys), _) => self.public_keys(keys),
            (_, _, Some(psk)) => {
                let key = self.psk(psk)?;
                let digest = held((), &[key.expose()]).digest;
                Some(Held { value: Accept::Psk(Arc::new(key)), digest })
            }
            (None, None, None) => {
                let message = "nothing says how the peer proves who it is; write psk, or under remote ca or public_key";
                self.problems.tell(place, "remote", message);
                None
            }
        }
    }

    fn psk(&self, field: &Field<Text>) -> Option<Key> {
        let octets = self.reveal_text(field)?;
        let text = octets.trim_ascii();
        let tell = |problems: &Problems, message: String| {
            problems.tell(field.place, "(secret)", message);
        };
        let octets = match std::str::from_utf8(text).ok().and_then(|text| text.strip_prefix("0x")) {
            Some(digits) => match super::text::hexadecimal(digits) {
                Ok(octets) => octets,
                Err(why) => {
                    tell(self.problems, format!("{why}; a PSK that begins with 0x is hexadecimal"));
                    return None;
                }
            },
            None => Zeroizing::new(text.to_vec()),
        };
        if octets.is_empty() {
            tell(self.problems, "empty; make one with `openssl rand -base64 32`".to_owned());
            return None;
        }
        let is_text = text.len() == octets.len();
        let short = if is_text { PSK_WEAK } else { PSK_WEAK / 2 };
        if octets.len() < short {
            let unit = if is_text { "characters" } else { "octets" };
            let message = format!(
                "a PSK of {} {unit} can be guessed by whoever records a handshake; make one with `openssl rand -base64 32`",
                octets.len()
            );
            tell(self.warnings, message);
        }
        Some(Key::from(octets))
    }

    fn private_key(
        &self,
        field: &Field<Text>,
        password: Option<&Field<Text>>,
    ) -> Option<PrivateKey> {
        let octets = self.reveal_text(field)?;
        let password = match password {
            Some(password) => Some(self.password(password)?),
            None => None,
        };
        let read = PrivateKey::read(&octets, password.as_ref().map(|text| text.as_str()));
        let tell = |why: pki::BadKey| self.problems.tell(field.place, "(secret)", why.to_string());
        read.map_err(tell).ok()
    }

    fn password(&self, field: &Field<Text>) -> Option<Zeroizing<String>> {
        let octets = self.reveal_text(field)?;
        let text = std::str::from_utf8(&octets).map(|text| text.trim_end_matches(['\r', '\n']));
        let tell = |_| self.problems.tell(field.place, "(secret)", "not UTF-8");
        text.map(|text| Zeroizing::new(text.to_owned())).map_err(tell).ok()
    }

    /// Our certificate with its key and intermediates, and the certificate by itself.
    fn certificate(&self, end: &LocalEnd) -> Option<(Held<Credential>, Certificate)> {
        let files = end.certificate.as_ref()?;
        let first = files.ok()?.0.first()?;
        let is_p12 = |name: &str| name.ends_with(".p12") || name.ends_with(".pfx");
        let (mut chain, key) = if first.ok().is_some_and(|name| is_p12(name)) {
            self.pkcs12(first, end)?
        } else {
            let chain = self.certificates(files)?;
            let Some(key) = &end.key else {
                let message = "a certificate without its private key; add key: {file: …} beside it";
                files.tell(self.problems, message);
                return None;
            };
            (chain, self.private_key(key, end.password.as_ref())?)
        };
        let own = |one: &Certificate| one.public_key() == key.public_key();
        let Some(at) = chain.iter().position(own) else {
            let message = "the private key is not the one of this certificate; name the two that belong together";
            files.tell(self.problems, message);
            return None;
        };
        let leaf = chain.remove(at);
        chain.retain(|one| *one.der() != *leaf.der());
        chain.insert(0, leaf.clone());
        self.validity(&chain, first);
        let prints: Vec<_> = chain.iter().map(Certificate::fingerprint).collect();
        let prints: Vec<_> = prints.iter().map(|print| print.as_slice()).collect();
        let held = held((), &prints);
        let credential = Credential::Certificate { key: Arc::new(key), chain };
        Some((Held { value: credential, digest: held.digest }, leaf))
    }

    fn pkcs12(
        &self,
        file: &Field<String>,
        end: &LocalEnd,
    ) -> Option<(Vec<Certificate>, PrivateKey)> {
        if let Some(key) = &end.key {
            let message = "a PKCS#12 file has the private key too; remove key";
            self.problems.tell(key.place, "(secret)", message);
            return None;
        }
        let octets = self.read(file)?;
        let password = match &end.password {
            Some(password) => self.password(password)?,
            None => Zeroizing::default(),
        };
        let opened = pki::pkcs12(&octets, &password);
        let Identified { key, certificate, others } =
            opened.map_err(|why| file.tell(self.problems, why.to_string())).ok()?;
        let (Some(key), Some(certificate)) = (key, certificate) else {
            file.tell(self.problems, "no private key with its certificate in this file");
            return None;
        };
        Some(([certificate].into_iter().chain(others).collect(), key))
    }

    /// An expired certificate is no fault of the file: it may be renewed any minute.
    fn validity(&self, chain: &[Certificate], field: &Field<String>) {
        let now = crate::keying::unix_now();
        for one in chain {
            let (from, to) = (one.not_before(), one.not_after());
            let message = if to < now {
                format!("the certificate of {one} is expired; peers will refuse it, renew it")
            } else if from > now {
                format!("the certificate of {one} is not valid yet; is the clock right?")
            } else if to - now < SOON {
                format!(
                    "the certificate of {one} expires in {} days; renew it",
                    (to - now) / 86_400
                )
            } else {
                continue;
            };
            field.tell(self.warnings, message);
        }
    }

    fn trust(
        &self,
        ca: &Field<Many<String>>,
        intermediates: Option<&Field<Many<String>>>,
    ) -> Option<Held<Accept>> {
        let anchors = self.certificates(ca)?;
        if let Some(first) = ca.ok().and_then(|many| many.0.first()) {
            self.validity(&anchors, first);
        }
        let intermediates = match intermediates {
            Some(files) => self.certificates(files)?,
            None => Vec::new(),
        };
        let all = anchors.iter().chain(&intermediates);
        let prints: Vec<_> = all.map(Certificate::fingerprint).collect();
        let prints: Vec<_> = prints.iter().map(|print| print.as_slice()).collect();
        let trust = Trust { intermediates, ..Trust::new(anchors) };
        Some(held(Accept::Certificate(Arc::new(trust)), &prints))
    }

    fn public_keys(&self, files: &Field<Many<String>>) -> Option<Held<Accept>> {
        let mut keys = Vec::new();
        for file in &files.ok()?.0 {
            let octets = self.read(file)?;
            match PublicKey::read(&octets) {
                Ok(key) => keys.push(Arc::new(key)),
                Err(why) => {
                    file.tell(self.problems, why.to_string());
                    return None;
                }
            }
        }
        if keys.is_empty() {
            files.tell(self.problems, "no public key; name at least one file");
            return None;
        }
        let spki: Vec<_> = keys.iter().map(|key| key.spki().to_vec()).collect();
        let spki: Vec<_> = spki.iter().map(Vec::as_slice).collect();
        Some(held(Accept::RawKey(keys), &spki))
    }

    fn certificates(&self, files: &Field<Many<String>>) -> Option<Vec<Certificate>> {
        let mut all = Vec::new();
        for file in &files.ok()?.0 {
            let octets = self.read(file)?;
            match pki::certificates(&octets) {
                Ok(read) => all.extend(read),
                Err(why) => {
                    file.tell(self.problems, why.to_string());
                    return None;
                }
            }
        }
        if all.is_empty() {
            files.tell(self.problems, "no certificate; name at least one file");
            return None;
        }
        Some(all)
    }

    /// A file that everybody may read.
    fn read(&self, file: &Field<String>) -> Option<Vec<u8>> {
        let path = self.base.join(file.ok()?);
        let read = |path: &Path| {
            use std::io::Read;
            let mut octets = Vec::new();
            std::fs::File::open(path)?.take(FILE_LIMIT).read_to_end(&mut octets)?;
            Ok::<_, std::io::Error>(octets)
        };
        let unreadable = |error| {
            file.tell(self.problems, format!("{} cannot be read: {error}", path.display()));
        };
        read(&path).map_err(unreadable).ok()
    }
}

/// What stands under `local`, if it is more than an address.
pub(super) fn local_end(connection: &Connection) -> Option<&LocalEnd> {
    match connection.local.as_ref()?.ok()? {
        Either::Map(end) => Some(end),
        Either::Text(_) => None,
    }
}

/// What stands under `remote`, if it is more than an address.
pub(super) fn remote_end(connection: &Connection) -> Option<&RemoteEnd> {
    match connection.remote.as_ref()?.ok()? {
        Either::Map(end) => Some(end),
        Either::Text(_) => None,
    }
}

/// Where a list stands, or the connection's name.
pub(super) fn place_of<T>(field: &Option<Field<T>>, name: &Field<String>) -> Place {
    field.as_ref().map_or(name.place, |field| field.place)
}
