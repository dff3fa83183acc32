//! Gives the shared library its name, and in the repository compiles the C test suite.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfdckpt.so.0");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=include");

    // Not in the published package.
    let suite = Path::new("ctests/c");
    if suite.is_dir() {
        println!("cargo::rerun-if-changed=ctests/c");
        compile_c_suite(suite);
    }

    #[cfg(feature = "bindgen")]
    view_headers();
}

/// Compiles each program of the C suite twice: as objects, which the tests link with the shared library, and as an archive with
/// `main` renamed to `NAME_main`, which they call in their own process.
fn compile_c_suite(suite: &Path) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let compiler = || {
        let mut build = cc::Build::new();
        build.include("include").std("c11").extra_warnings(true).flag("-pthread").cargo_metadata(false);
        build
    };
    let mut programs: Vec<PathBuf> = fs::read_dir(suite)
        .expect("the suite is readable")
        .map(|entry| entry.expect("the suite is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    programs.sort();
    for program in programs {
        let name = program.file_stem().and_then(|name| name.to_str()).expect("a plain name");
        let object = compiler().file(&program).out_dir(out.join("program")).try_compile_intermediates();
        let archive = compiler().file(&program).define("main", &*format!("{name}_main")).try_compile(&format!("ctest_{name}"));
        match (object, archive) {
            (Ok(object), Ok(())) => {
                fs::copy(&object[0], out.join(format!("{name}.o"))).expect("OUT_DIR is writable");
                println!("cargo::rustc-link-arg-tests={}", out.join(format!("libctest_{name}.a")).display());
            }
            // The tests will fail, but whoever builds the library does not need them.
            (Err(error), _) | (_, Err(error)) => println!("cargo::warning={} does not compile: {error}", program.display()),
        }
    }
    println!("cargo::rustc-env=FDCKPT_C_OBJECTS={}", out.display());
}

/// What libclang sees in the headers, as Rust: first all but the functions, then the functions alone in terms of the library's
/// own types, so that their signatures can be compared.
#[cfg(feature = "bindgen")]
fn view_headers() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let headers = || {
        bindgen::Builder::default()
            .header("include/fd_checkpt.h")
            .header("include/fdckpt.h")
            .allowlist_item("(fd_|FD_|fdckpt_|FDCKPT_).*")
            .derive_default(false)
    };
    let write = |bindings: bindgen::Builder, name: &str| {
        let bindings = bindings.generate().expect("libclang reads the headers");
        bindings.write_to_file(out.join(name)).expect("OUT_DIR is writable");
    };
    write(headers().ignore_functions(), "headers.rs");
    write(
        headers().blocklist_type(".*").raw_line(
            "use super::super::{fdckpt::{fdckpt_error_t, fdckpt_log_fn_t}, types::{fd_checkpt_t, fd_restore_t, ulong}};",
        ),
        "prototypes.rs",
    );
}
