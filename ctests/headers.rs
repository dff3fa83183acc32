//! The headers in `include/` are what cbindgen makes of `src/capi` today. `make headers` (`FDCKPT_WRITE_HEADERS=1`) writes them.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Generates `include/NAME.h` from `src/capi/NAME.rs` and the two hand-written parts around it.
fn generate(name: &str, exclude: &[&str]) -> String {
    let part = |which: &str| {
        let path = root().join(format!("src/capi/header/{name}.{which}.h"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.replace("@VERSION@", env!("CARGO_PKG_VERSION"))
            .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
            .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
            .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"))
    };
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    config.header = Some(part("top").trim_end().to_owned());
    config.trailer = Some(part("bottom").trim_end().to_owned());
    config.export.exclude = exclude.iter().map(|&name| name.to_owned()).collect();
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root().join(format!("src/capi/{name}.rs")))
        .generate()
        .expect("cbindgen understands the source");
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).expect("UTF-8")
}

fn check(name: &str, exclude: &[&str]) {
    let path: PathBuf = root().join(format!("include/{name}.h"));
    let generated = generate(name, exclude);
    if std::env::var_os("FDCKPT_WRITE_HEADERS").is_some() {
        fs::write(&path, &generated).expect("include/ is writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let first_difference = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(committed == generated, "{} is stale from line {first_difference:?} (counted from 0) on: run `make headers`", path.display());
}

#[test]
fn fd_checkpt_h_is_up_to_date() {
    check("fd_checkpt", &["fd_checkpt_t", "fd_restore_t"]);
}

#[test]
fn fdckpt_h_is_up_to_date() {
    check("fdckpt", &[]);
}
