//! Names the shared library, and compiles the C test suite.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfdckpt.so.0");
}
