//! Compiles the shims of the C libraries that are installed. Without one its rival is listed as not installed.
use std::path::Path;

/// A library, its header, its shim, and what turns its module on.
struct Library {
    cfg: &'static str,
    header: &'static str,
    shim: &'static str,
    link: &'static str,
}

const LIBRARIES: [Library; 2] = [
    Library { cfg: "ipsec_mb", header: "intel-ipsec-mb.h", shim: "c/ipsec_mb.c", link: "IPSec_MB" },
    Library { cfg: "openssl", header: "openssl/evp.h", shim: "c/openssl.c", link: "crypto" },
];

fn main() {
    println!("cargo:rerun-if-changed=c");
    println!("cargo:rerun-if-env-changed=CPATH");
    for library in LIBRARIES {
        if installed(library.header) {
            build(&library);
        }
    }
}

fn installed(header: &str) -> bool {
    let path = std::env::var("CPATH").unwrap_or_default();
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    let mut folders = folders.chain(["/usr/include", "/usr/local/include"]);
    let file = |folder: &str| Path::new(folder).join(header);
    println!("cargo:rerun-if-changed={}", file("/usr/include").display());
    folders.any(|folder| file(folder).exists())
}

/// A header that the shim does not go with (an old release) is a warning: the other rivals still run.
fn build(library: &Library) {
    let mut build = cc::Build::new();
    build.file(library.shim).opt_level(3).warnings(true).extra_warnings(true);
    match build.try_compile(&format!("rival_{}", library.cfg)) {
        Ok(()) => {
            println!("cargo:rustc-link-lib=dylib={}", library.link);
            println!("cargo:rustc-cfg={}", library.cfg);
        }
        Err(why) => println!("cargo:warning={} is left out: {why}", library.header),
    }
}
