//! `postern pki`: keys, CAs, requests and certificates, so that a first tunnel with certificates needs no other tool.
//! Works on files alone; no daemon is asked.
use crate::keying::unix_now;
use clap::{Args, Subcommand};
use pki::{
    AltName, Certificate, Constraint, Constraints, Curve, Identity, Issuer, KeyKind, Name,
    PrivateKey, Profile, PublicKey, Request, Role,
};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How long before now a certificate begins: clocks differ.
const BEFORE: u64 = 300;
const DAY: u64 = 86_400;
/// How long what is made is good, unless told: a CA's certificate and a peer's, in days.
const CA_DAYS: u64 = 3650;
const PEER_DAYS: u64 = 365;

/// Make and look at keys, CAs and certificates.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "what is flattened is documented where it is defined")]
pub enum Pki {
    /// Make a private key.
    Key {
        #[command(flatten)]
        kind: Kind,
        /// Where it goes; readable by its owner only.
        #[arg(long)]
        out: PathBuf,
        /// Where the public key goes, for peers that know each other by their keys.
        #[arg(long)]
        public_out: Option<PathBuf>,
        #[command(flatten)]
        over: Over,
    },
    /// Make a CA: its key, and its certificate signed by itself.
    Ca {
        #[command(flatten)]
        made: Made,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        over: Over,
    },
    /// Make a CA below another.
    Intermediate {
        #[command(flatten)]
        by: By,
        #[command(flatten)]
        made: Made,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        over: Over,
    },
    /// Ask for a certificate: a request that a CA can sign, while the key stays here.
    Csr {
        /// The private key.
        #[arg(long)]
        key: PathBuf,
        #[command(flatten)]
        names: Names,
        /// Where the request goes.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        over: Over,
    },
    /// Issue a peer's certificate: for a request, for a public key, or with a new key.
    Issue {
        #[command(flatten)]
        by: By,
        /// A request; subject and names are taken from it unless given here.
        #[arg(long, conflicts_with_all = ["public_key", "key_out"])]
        csr: Option<PathBuf>,
        /// A public key, or a private key whose public key is meant.
        #[arg(long, conflicts_with = "key_out")]
        public_key: Option<PathBuf>,
        /// Where a new private key goes.
        #[arg(long)]
        key_out: Option<PathBuf>,
        #[command(flatten)]
        kind: Kind,
        #[command(flatten)]
        names: Names,
        /// Days from now. Unless given: 365, or as many as the CA has left.
        #[arg(long)]
        days: Option<u64>,
        /// Where the certificate goes.
        #[arg(long)]
        out: PathBuf,
        /// Write the CA's certificate behind it, for peers that do not have that.
        #[arg(long)]
        chain: bool,
        #[command(flatten)]
        over: Over,
    },
    /// Put a key and its certificates into one PKCS#12 file.
    P12 {
        /// The private key.
        #[arg(long)]
        key: PathBuf,
        /// Certificates: its own first.
        #[arg(long, required = true)]
        certificate: Vec<PathBuf>,
        /// A file with the password on its first line.
        #[arg(long)]
        password_file: PathBuf,
        /// Where it goes.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        over: Over,
    },
    /// Say what a file holds: certificates, keys, requests; PEM, DER or PKCS#12.
    Show {
        /// The file.
        file: PathBuf,
        /// A file with the password on its first line.
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
}

/// What kind of key.
#[derive(Debug, Args)]
pub struct Kind {
    /// ed25519, p256, p384, p521, rsa2048, rsa3072 or rsa4096.
    #[arg(long = "type", default_value = "p256", value_parser = kind)]
    kind: KeyKind,
}

fn kind(text: &str) -> Result<KeyKind, String> {
    Ok(match text.to_lowercase().as_str() {
        "ed25519" => KeyKind::Ed25519,
        "p256" => KeyKind::Ecdsa(Curve::P256),
        "p384" => KeyKind::Ecdsa(Curve::P384),
        "p521" => KeyKind::Ecdsa(Curve::P521),
        "rsa2048" => KeyKind::Rsa(2048),
        "rsa3072" => KeyKind::Rsa(3072),
        "rsa4096" => KeyKind::Rsa(4096),
        _ => {
            return Err(
                "known here: ed25519, p256, p384, p521, rsa2048, rsa3072, rsa4096".to_owned()
            );
        }
    })
}

/// Whose certificate.
#[derive(Debug, Args)]
pub struct Names {
    /// The subject, as "C=CH, O=Example, CN=gw-a". May be left out when there are other names.
    #[arg(long, value_parser = subject)]
    subject: Option<Name>,
    /// A name by which the peer is known: a host name, an e-mail or IP address; may be given several times. An identity
    /// counts only if it stands here, or is the whole subject.
    #[arg(long = "san", value_parser = identity)]
    names: Vec<Identity>,
}

fn subject(text: &str) -> Result<Name, String> {
    text.parse().map_err(|error: pki::BadName| error.to_string())
}
fn identity(text: &str) -> Result<Identity, String> {
    text.parse().map_err(|error: pki::BadIdentity| error.to_string())
}
fn constraint(text: &str) -> Result<Constraint, String> {
    text.parse().map_err(|error: pki::CannotMake| error.to_string())
}

/// A new CA.
#[derive(Debug, Args)]
pub struct Made {
    /// Its name, as "C=CH, O=Example, CN=Example CA".
    #[arg(long, value_parser = subject)]
    subject: Name,
    #[command(flatten)]
    kind: Kind,
    /// Days from now. Unless given: 3650, or as many as the CA above it has left.
    #[arg(long)]
    days: Option<u64>,
    /// Where its certificate goes.
    #[arg(long)]
    out: PathBuf,
    /// Where its private key goes.
    #[arg(long)]
    key_out: PathBuf,
}

/// What a CA may do.
#[derive(Debug, Args)]
pub struct Limits {
    /// How many CAs may stand below it.
    #[arg(long)]
    path_len: Option<u8>,
    /// Names of this form must lie in here: dns:example.com, email:example.com, ip:192.0.2.0/24.
    #[arg(long, value_parser = constraint)]
    permit: Vec<Constraint>,
    /// No name may lie in here.
    #[arg(long, value_parser = constraint)]
    exclude: Vec<Constraint>,
}

/// Who signs.
#[derive(Debug, Args)]
pub struct By {
    /// The CA's certificate.
    #[arg(long)]
    ca: PathBuf,
    /// The CA's private key.
    #[arg(long)]
    ca_key: PathBuf,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, Args)]
pub struct Over {
    /// Overwrite files that are there.
    #[arg(long)]
    force: bool,
}

/// What was made or seen: for programs, and for people.
#[derive(Debug)]
pub struct Told {
    /// One object.
    pub json: Value,
    /// Some lines.
    pub text: String,
}

/// Does it.
///
/// # Errors
/// In words, with what to do.
pub fn run(command: &Pki) -> Result<Told, String> {
    match command {
        Pki::Key { kind, out, public_out, over } => {
            make_key(kind, out, public_out.as_deref(), *over)
        }
        Pki::Ca { made, limits, over } => make_ca(None, made, limits, *over),
        Pki::Intermediate { by, made, limits, over } => make_ca(Some(by), made, limits, *over),
        Pki::Csr { key, names, out, over } => {
            let key = private_key(key)?;
            let subject = names.subject.clone().map_or_else(nobody, Ok)?;
            let request = Request::new(&subject, &alt_names(&names.names)?, &key).map_err(text)?;
            public(out, request.to_pem().as_bytes(), *over)?;
            Ok(told("request", &[out], request_lines(&request)))
        }
        Pki::Issue { by, csr, public_key, key_out, kind, names, days, out, chain, over } => {
            let (asked, asked_names, key, new) = match (csr, public_key, key_out) {
                (Some(csr), ..) => {
                    let request = Request::read(&read(csr)?).map_err(text)?;
                    let names = request.alt_names().to_vec();
                    (request.subject().clone(), names, request.public_key().clone(), None)
                }
                (_, Some(file), _) => (nobody()?, Vec::new(), any_public(file)?, None),
                (_, _, Some(file)) => {
                    vacant(&[file, out], *over)?;
                    let key = PrivateKey::generate(kind.kind).map_err(text)?;
                    (nobody()?, Vec::new(), key.public_key().clone(), Some((file, key)))
                }
                _ => {
                    return Err(
                        "for which key? give --csr, --public-key, or --key-out for a new one"
                            .to_owned(),
                    );
                }
            };
            let subject = names.subject.clone().unwrap_or(asked);
            let alt_names = match names.names.as_slice() {
                [] => asked_names,
                given => alt_names(given)?,
            };
            let (ca, ca_key) = issuer(by)?;
            let profile =
                profile(subject, alt_names, until(*days, PEER_DAYS, Some(&ca)), Role::Peer);
            let made =
                Issuer { certificate: &ca, key: &ca_key }.issue(&profile, &key).map_err(text)?;
            let mut pem = made.to_pem();
            if *chain {
                pem += &ca.to_pem();
            }
            if let Some((file, key)) = new {
                secret(file, key.to_pem().as_bytes(), *over)?;
            }
            public(out, pem.as_bytes(), *over)?;
            let files: Vec<&PathBuf> =
                [Some(out), key_out.as_ref()].into_iter().flatten().collect();
            Ok(told("certificate", &files, certificate_lines(&made)))
        }
        Pki::P12 { key, certificate, password_file, out, over } => {
            let key = private_key(key)?;
            let mut chain = Vec::new();
            for file in certificate {
                chain.extend(pki::certificates(&read(file)?).map_err(text)?);
            }
            let first = chain.first().ok_or("no certificate")?;
            let name = first.subject().to_string();
            let octets =
                pki::to_pkcs12(&name, &key, &chain, &password(password_file)?).map_err(text)?;
            secret(out, &octets, *over)?;
            Ok(told("pkcs12", &[out], certificate_lines(first)))
        }
        Pki::Show { file, password_file } => show(file, password_file.as_deref()),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The empty name, of whoever has all names in subjectAltName (RFC 5280 §4.1.2.6): an empty SEQUENCE.
fn nobody() -> Result<Name, String> {
    Name::from_der(&[0x30, 0]).map_err(text)
}

fn make_key(
    kind: &Kind,
    out: &Path,
    public_out: Option<&Path>,
    over: Over,
) -> Result<Told, String> {
    let key = PrivateKey::generate(kind.kind).map_err(text)?;
    secret(out, key.to_pem().as_bytes(), over)?;
    if let Some(file) = public_out {
        public(file, key.public_key().to_pem().as_bytes(), over)?;
    }
    let files: Vec<_> = [Some(out), public_out].into_iter().flatten().collect();
    Ok(told("key", &files, key_lines(key.public_key())))
}

fn make_ca(by: Option<&By>, made: &Made, limits: &Limits, over: Over) -> Result<Told, String> {
    let constraints =
        Constraints { permitted: limits.permit.clone(), excluded: limits.exclude.clone() };
    let role = Role::Ca { path_len: limits.path_len, constraints };
    let above = by.map(issuer).transpose()?;
    let not_after = until(made.days, CA_DAYS, above.as_ref().map(|(ca, _)| ca));
    let profile = profile(made.subject.clone(), Vec::new(), not_after, role);
    let key = PrivateKey::generate(made.kind.kind).map_err(text)?;
    let certificate = match &above {
        None => profile.self_signed(&key),
        Some((ca, ca_key)) => {
            Issuer { certificate: ca, key: ca_key }.issue(&profile, key.public_key())
        }
    }
    .map_err(text)?;
    vacant(&[&made.key_out, &made.out], over)?;
    secret(&made.key_out, key.to_pem().as_bytes(), over)?;
    public(&made.out, certificate.to_pem().as_bytes(), over)?;
    Ok(told("ca", &[&made.out, &made.key_out], certificate_lines(&certificate)))
}

/// When it ends, in Unix time: after the days that were asked for, or after the usual ones but not after its issuer,
/// unless that has ended already: then nothing can be issued, and the error says why.
fn until(days: Option<u64>, usual: u64, issuer: Option<&Certificate>) -> u64 {
    let now = unix_now();
    let after = |days: u64| now.saturating_add(days.saturating_mul(DAY));
    let last = issuer.map(Certificate::not_after).filter(|last| *last > now);
    days.map_or_else(|| after(usual).min(last.unwrap_or(u64::MAX)), after)
}

fn profile(subject: Name, alt_names: Vec<AltName>, not_after: u64, role: Role) -> Profile {
    let not_before = unix_now().saturating_sub(BEFORE);
    Profile { subject, alt_names, not_before, not_after, role }
}

fn alt_names(names: &[Identity]) -> Result<Vec<AltName>, String> {
    names.iter().map(|name| AltName::try_from(name).map_err(text)).collect()
}

fn issuer(by: &By) -> Result<(Certificate, PrivateKey), String> {
    let certificate = Certificate::read(&read(&by.ca)?).map_err(text)?;
    Ok((certificate, private_key(&by.ca_key)?))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", path.display());
    std::fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

fn private_key(path: &Path) -> Result<PrivateKey, String> {
    let bad = |error| format!("{}: {error}", path.display());
    PrivateKey::read(&read(path)?, None).map_err(bad)
}

fn any_public(path: &Path) -> Result<PublicKey, String> {
    let octets = read(path)?;
    let of_private = PrivateKey::read(&octets, None).map(|key| key.public_key().clone());
    let bad = |error| format!("{}: {error}", path.display());
    of_private.or_else(|_| PublicKey::read(&octets)).map_err(bad)
}

fn password(path: &Path) -> Result<Zeroizing<String>, String> {
    let octets = read(path)?;
    let whole = std::str::from_utf8(&octets).map_err(text)?;
    Ok(Zeroizing::new(whole.lines().next().unwrap_or_default().to_owned()))
}

/// Asked before the first of several files is written, so that none is left without the others.
fn vacant(paths: &[&Path], over: Over) -> Result<(), String> {
    let taken = paths.iter().find(|path| !over.force && path.exists());
    taken.map_or(Ok(()), |path| Err(there_already(path)))
}

fn there_already(path: &Path) -> String {
    format!("{} is there already; --force overwrites it", path.display())
}

/// A file for its owner alone.
fn secret(path: &Path, octets: &[u8], over: Over) -> Result<(), String> {
    write(path, octets, 0o600, over)
}

fn public(path: &Path, octets: &[u8], over: Over) -> Result<(), String> {
    write(path, octets, 0o644, over)
}

fn write(path: &Path, octets: &[u8], mode: u32, over: Over) -> Result<(), String> {
    if over.force {
        // Not written into: whoever has the old file open, or may read it, does not see the new one.
        let _ = std::fs::remove_file(path);
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(octets).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => there_already(path),
        _ => format!("{} cannot be written: {error}", path.display()),
    })
}

type Lines = Vec<(&'static str, String)>;

fn told<P: AsRef<Path>>(what: &str, files: &[P], lines: Lines) -> Told {
    let files: Vec<String> = files.iter().map(|file| file.as_ref().display().to_string()).collect();
    let mut text = render(&lines);
    text.push_str(&format!("written: {}\n", files.join(", ")));
    let fields: serde_json::Map<_, _> =
        lines.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    Told {
        json: json!({ "version": crate::view::VERSION, "made": what, "files": files, "is": fields }),
        text,
    }
}

fn render(lines: &Lines) -> String {
    lines.iter().map(|(key, value)| format!("{key}: {value}\n")).collect()
}

fn key_lines(key: &PublicKey) -> Lines {
    vec![("key", key.kind().to_string()), ("fingerprint", fingerprint(&key.fingerprint()))]
}

fn request_lines(request: &Request) -> Lines {
    let names: Vec<_> = request.alt_names().iter().map(ToString::to_string).collect();
    let mut lines = vec![("subject", request.subject().to_string()), ("names", names.join(", "))];
    lines.extend(key_lines(request.public_key()));
    lines
}

fn certificate_lines(certificate: &Certificate) -> Lines {
    let names: Vec<_> = certificate.alt_names().iter().map(ToString::to_string).collect();
    let now = unix_now();
    let valid = match (certificate.not_before(), certificate.not_after()) {
        (from, _) if now < from => "not yet valid".to_owned(),
        (_, to) if now > to => "EXPIRED".to_owned(),
        (_, to) => format!("{} days left", (to - now) / DAY),
    };
    let key = certificate.public_key();
    vec![
        ("subject", certificate.subject().to_string()),
        ("issuer", certificate.issuer().to_string()),
        ("serial", certificate.serial_text()),
        ("names", names.join(", ")),
        ("from", date(certificate.not_before())),
        ("to", date(certificate.not_after())),
        ("valid", valid),
        ("ca", if certificate.is_ca() { "yes" } else { "no" }.to_owned()),
        ("key", key.kind().to_string()),
        ("fingerprint", fingerprint(&certificate.fingerprint())),
    ]
}

fn fingerprint(octets: &[u8]) -> String {
    let hex: Vec<_> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    format!("SHA2-256 {}", hex.join(":"))
}

/// `2026-11-21 07:45:00 UTC`. Days to a date of the Gregorian calendar, whose years are counted here from March, so that
/// the leap day comes last.
fn date(unix: u64) -> String {
    let (days, seconds) = (unix / DAY + 719_468, unix % DAY);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + next;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn show(file: &Path, password_file: Option<&Path>) -> Result<Told, String> {
    let octets = read(file)?;
    let password = password_file.map(password).transpose()?;
    let mut parts: Vec<(&str, Lines)> = Vec::new();
    if let Ok(all) = pki::certificates(&octets) {
        parts.extend(all.iter().map(|one| ("certificate", certificate_lines(one))));
    }
    if let Ok(key) = PrivateKey::read(&octets, password.as_ref().map(|text| text.as_str())) {
        parts.push(("private key", key_lines(key.public_key())));
    } else if let Ok(key) = PublicKey::read(&octets) {
        parts.push(("public key", key_lines(&key)));
    }
    if let Ok(request) = Request::read(&octets) {
        parts.push(("request", request_lines(&request)));
    }
    if parts.is_empty() {
        let password = password.unwrap_or_default();
        let opened = pki::pkcs12(&octets, &password).map_err(|error| {
            format!("{}: no certificate, key or request that can be read ({error})", file.display())
        })?;
        let certificates = opened.certificate.iter().chain(&opened.others);
        parts.extend(certificates.map(|one| ("certificate", certificate_lines(one))));
        parts.extend(opened.key.iter().map(|key| ("private key", key_lines(key.public_key()))));
    }
    let text =
        parts.iter().map(|(what, lines)| format!("{what}\n{}", indented(&render(lines)))).collect();
    let all: Vec<Value> = parts
        .into_iter()
        .map(|(what, lines)| {
            let mut fields: serde_json::Map<_, _> =
                lines.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
            fields.insert("what".to_owned(), what.into());
            fields.into()
        })
        .collect();
    Ok(Told { json: json!({ "version": crate::view::VERSION, "holds": all }), text })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (unix, shown) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (1_795_246_200, "2026-11-21 07:30:00 UTC"),
        ] {
            assert_eq!(date(unix), shown);
        }
    }

    /// The program as it is called, in a directory of its own.
    fn pki(directory: &Path, line: &str) -> Result<Told, String> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(subcommand)]
            pki: Pki,
        }
        let within = |word: &str| match word.rsplit_once('.') {
            Some((_, "pem" | "key")) => directory.join(word).display().to_string(),
            _ => word.to_owned(),
        };
        let line = std::iter::once("pki".to_owned()).chain(line.split(' ').map(within));
        run(&<Line as clap::Parser>::try_parse_from(line).unwrap().pki)
    }

    #[test]
    fn nothing_is_made_to_outlive_its_issuer_unless_somebody_asks_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let pki = |line: &str| pki(directory.path(), line);
        pki("ca --subject CN=Root --days 30 --out root.pem --key-out root.key").unwrap();
        pki("ca --subject CN=Old --days 0 --out old.pem --key-out old.key").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1100)); // time is in seconds
        let below = "intermediate --ca root.pem --ca-key root.key --subject CN=Below";
        pki(&format!("{below} --out below.pem --key-out below.key")).unwrap();
        let peer = "issue --ca below.pem --ca-key below.key --san gw.example.com";
        pki(&format!("{peer} --out gw.pem --key-out gw.key")).unwrap();
        let ends = |file| {
            Certificate::read(&read(&directory.path().join(file)).unwrap()).unwrap().not_after()
        };
        assert_eq!([ends("below.pem"), ends("gw.pem")], [ends("root.pem"); 2]);
        let refused = pki(&format!("{peer} --days 31 --out long.pem --key-out long.key"));
        assert!(refused.unwrap_err().contains("it would outlive its issuer"));
        assert!(!directory.path().join("long.key").exists());
        let old = "issue --ca old.pem --ca-key old.key --san gw.example.com";
        let refused = pki(&format!("{old} --out late.pem --key-out late.key"));
        assert!(refused.unwrap_err().contains("it would outlive its issuer"));
    }
}
