//! Gives the shared library its name, and for tests compiles the C test suite.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfdckpt.so.0");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=include");

    #[cfg(feature = "c-tests")]
    compile_c_suite();

    #[cfg(feature = "abi-tests")]
    view_headers();
}

/// Compiles each program of the C suite twice: as objects, which the tests link with the shared library, and as an archive with
/// `main` renamed to `NAME_main`, which they call in their own process.
#[cfg(feature = "c-tests")]
fn compile_c_suite() {
    println!("cargo::rerun-if-changed=ctests/c_api");
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let compiler = || {
        let mut build = cc::Build::new();
        build.include("include").std("c11").extra_warnings(true).flag("-pthread").cargo_metadata(false);
        build
    };
    for entry in std::fs::read_dir("ctests/c_api").expect("the suite is readable") {
        let program = entry.expect("the suite is readable").path();
        if program.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let name = program.file_stem().and_then(|name| name.to_str()).expect("a plain name");
        let object = compiler().file(&program).out_dir(out.join("program")).compile_intermediates();
        std::fs::copy(&object[0], out.join(format!("{name}.o"))).expect("OUT_DIR is writable");
        compiler().file(&program).define("main", &*format!("{name}_main")).compile(&format!("ctest_{name}"));
        println!("cargo::rustc-link-arg-tests={}", out.join(format!("libctest_{name}.a")).display());
    }
    println!("cargo::rustc-env=FDCKPT_C_OBJECTS={}", out.display());
}

/// What libclang sees in the headers, as Rust: first all but the functions, then the functions alone in terms of the library's
/// own types, so that their signatures can be compared.
#[cfg(feature = "abi-tests")]
fn view_headers() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let headers = || {
        bindgen::Builder::default()
            .header("include/fd_checkpt.h")
            .header("include/fdckpt.h")
            .allowlist_item("(fd_|FD_|fdckpt_|FDCKPT_).*")
            .derive_default(false)
            .prepend_enum_name(false)
    };
    let write = |bindings: bindgen::Builder, name: &str| {
        let bindings = bindings.generate().expect("libclang reads the headers");
        bindings.write_to_file(out.join(name)).expect("OUT_DIR is writable");
    };
    write(headers().ignore_functions(), "headers.rs");
    write(
        headers().blocklist_type(".*").raw_line(
            "use super::super::{checkpoint_reader::*, checkpoint_verify::*, checkpoint_writer::*, block_index::*, container::*, fd_checkpt_types::{fd_checkpt_t, fd_restore_t, ulong}, frames::*, fti::*, fti_file::*, inflate::*, inflate_index::*, last_error::*, log::*, threads::*};",
        ),
        "prototypes.rs",
    );
}
