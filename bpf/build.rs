//! Compiles the XDP program from source and generates its skeleton, into `OUT_DIR` only.
use std::path::{Path, PathBuf};
use std::{env, process};

use libbpf_cargo::SkeletonBuilder;

const SOURCES: [&str; 4] = ["postern.bpf.c", "parse.h", "maps.h", "counters.h"];

fn main() {
    let source = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("src");
    for name in SOURCES {
        println!("cargo::rerun-if-changed={}", source.join(name).display());
    }
    println!("cargo::rerun-if-env-changed=CLANG");
    let mut builder = SkeletonBuilder::new();
    builder.source(source.join("postern.bpf.c")).clang_args(clang_args());
    if let Ok(clang) = env::var("CLANG") {
        builder.clang(clang);
    }
    let skeleton = PathBuf::from(variable("OUT_DIR")).join("postern.skel.rs");
    if let Err(error) = builder.build_and_generate(skeleton) {
        eprintln!("the XDP program does not build: {error:#}");
        eprintln!("it needs clang and the kernel's headers (Debian: clang, linux-libc-dev)");
        process::exit(1);
    }
}

/// `-target bpf` knows no multiarch folder, where Debian keeps `asm/types.h`.
fn clang_args() -> Vec<String> {
    let arch = variable("CARGO_CFG_TARGET_ARCH");
    let multiarch = format!("/usr/include/{arch}-linux-gnu");
    let mut args: Vec<String> =
        ["-Wall", "-Wextra", "-Wno-sign-compare", "-Werror"].map(Into::into).into();
    if Path::new(&multiarch).is_dir() {
        args.extend(["-idirafter".into(), multiarch]);
    }
    args
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        eprintln!("cargo did not set {name}: build with cargo");
        process::exit(1);
    })
}
