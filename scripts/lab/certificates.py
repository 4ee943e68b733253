"""Certificates for two ends: root, intermediate, and a leaf for each end, of one kind of key. Made by the openssl program, or by `postern pki`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .namespaces import run

KEYS = {
    "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa4096": ["RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
    "ecdsa256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ecdsa384": ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ecdsa521": ["EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
    "ed25519": ["ED25519"],
}
CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
LEAF = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"


@dataclass
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    @property
    def pem(self) -> bytes:
        return self.certificate.read_bytes()


class Authority:
    """A root and an intermediate under it; leaves are issued by the intermediate."""

    def __init__(self, directory: Path, kind: str, label: str | None = None):
        self.directory, self.kind, self.label = directory / (label or kind), kind, label or kind
        self.directory.mkdir(parents=True)
        self.root = self.issue("root", f"Root {self.label}", CA, None)
        self.intermediate = self.issue("intermediate", f"Intermediate {self.label}", CA + "authorityKeyIdentifier=keyid\n", self.root)

    def issue(self, stem: str, common: str, extensions: str, issuer: Pair | None, days: int = 30, extra: tuple[str, ...] = ()) -> Pair:
        made = Pair(self.directory / f"{stem}.pem", self.directory / f"{stem}.key")
        config = self.directory / f"{stem}.cnf"
        config.write_text(f"[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nC=XX\nO=Postern tests\nCN={common}\n[x]\n{extensions}")
        run("openssl", "genpkey", "-algorithm", *KEYS[self.kind], "-out", str(made.key))
        made.key.chmod(0o600)
        request = ["openssl", "req", "-new", "-config", str(config), "-key", str(made.key)]
        signing = ["-days", str(days), "-extensions", "x", *extra]
        if issuer is None:
            run(*request, "-x509", *signing, "-out", str(made.certificate))
        else:
            csr = self.directory / f"{stem}.csr"
            run(*request, "-out", str(csr))
            run("openssl", "x509", "-req", "-in", str(csr), "-CA", str(issuer.certificate), "-CAkey", str(issuer.key), "-CAcreateserial",
                "-extfile", str(config), *signing, "-out", str(made.certificate))
        return made

    def leaf(self, host: str, padding: int = 0, days: int = 30, stem: str | None = None) -> Pair:
        """A certificate for `host`; with `padding`, so many further names that it becomes large."""
        names = (f"DNS:{host}", *(f"DNS:padding-{number:04}.{host}" for number in range(padding)))
        extensions = LEAF + f"subjectAltName={','.join(names)}\n"
        return self.issue(stem or host, host, extensions, self.intermediate, days)


def bare(directory: Path, kind: str, host: str) -> Pair:
    """A private key, and its public key where a certificate would be (RFC 7670)."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Pair(directory / f"{host}-{kind}.pub", directory / f"{host}-{kind}.key")
    run("openssl", "genpkey", "-algorithm", *KEYS[kind], "-out", str(made.key))
    made.key.chmod(0o600)
    run("openssl", "pkey", "-in", str(made.key), "-pubout", "-out", str(made.certificate))
    return made


def our_bare(directory: Path, kind: str, host: str, program: Path) -> Pair:
    """The same by `postern pki`."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Pair(directory / f"{host}-our-{kind}.pub", directory / f"{host}-our-{kind}.key")
    run(str(program), "pki", "key", "--type", kind, "--out", str(made.key), "--public-out", str(made.certificate))
    return made


class OurAuthority:
    """The same by `postern pki`, as a newcomer would."""

    def __init__(self, directory: Path, kind: str, program: Path):
        self.directory, self.label, self.kind, self.program = directory / f"our-{kind}", f"our-{kind}", kind, program
        self.directory.mkdir(parents=True)
        self.root = self.make("root", "ca", subject="C=XX, O=Postern tests, CN=Our root")
        self.intermediate = self.make("intermediate", "intermediate", self.root, subject="C=XX, O=Postern tests, CN=Our intermediate")

    def make(self, stem: str, verb: str, issuer: Pair | None = None, **options: str) -> Pair:
        made = Pair(self.directory / f"{stem}.pem", self.directory / f"{stem}.key")
        signing = ["--ca", str(issuer.certificate), "--ca-key", str(issuer.key)] if issuer else []
        given = [word for name, value in options.items() for word in (f"--{name}", value)]
        run(str(self.program), "pki", verb, *signing, *given, "--type", self.kind, "--out", str(made.certificate), "--key-out", str(made.key))
        return made

    def leaf(self, host: str, **_) -> Pair:
        return self.make(host, "issue", self.intermediate, subject=f"C=XX, O=Postern tests, CN={host}", san=host)
