//! The headers in `include/` are what cbindgen generates from `src/capi` (`make headers` writes them), and compile
//! without warnings wherever they may be included.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::root;

/// Generates `include/NAME.h` from the modules of `src/capi` and the two hand-written parts around it.
fn generate(name: &str, modules: &[&str], exclude: &[&str]) -> String {
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
    let mut builder = cbindgen::Builder::new().with_config(config);
    for module in modules {
        builder = builder.with_src(root().join(format!("src/capi/{module}.rs")));
    }
    let bindings = builder.generate().expect("cbindgen understands the source");
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).expect("UTF-8")
}

fn check(name: &str, modules: &[&str], exclude: &[&str]) {
    let path: PathBuf = root().join(format!("include/{name}.h"));
    let generated = generate(name, modules, exclude);
    if std::env::var_os("FDCKPT_TEST_WRITE_HEADERS").is_some() {
        fs::write(&path, &generated).expect("include/ is writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let first_difference = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "{} is stale from line {first_difference:?} (counted from 0) on: run `make headers`",
        path.display()
    );
}

#[test]
fn fd_checkpt_h_is_up_to_date() {
    check("fd_checkpt", &["fd_checkpt"], &["fd_checkpt_t", "fd_restore_t"]);
}

#[test]
fn fdckpt_h_is_up_to_date() {
    check(
        "fdckpt",
        &[
            "common",
            "last_error",
            "log",
            "frames",
            "container",
            "block_index",
            "fti",
            "fti_file",
            "inflate",
            "inflate_index",
            "checkpoint_writer",
            "checkpoint_reader",
        ],
        &[],
    );
}

const C_AND_CXX: [(&str, &str); 3] = [("c", "c11"), ("c", "c17"), ("c++", "c++17")];

const STRICT: &str = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wstrict-aliasing=2 \
     -Wundef -Werror";

/// Compiles `source` in each language and by each compiler there is, with the headers found by `include`.
fn compiles(name: &str, source: &str, include: &Path) {
    let folder = common::temp_dir(name);
    for (language, standard) in C_AND_CXX {
        for compiler in if language == "c" { ["gcc", "clang"] } else { ["g++", "clang++"] } {
            if !common::has_program(compiler) {
                continue;
            }
            let file = folder.join(if language == "c" { "host.c" } else { "host.cpp" });
            fs::write(&file, source).unwrap();
            let for_language = |flag: &&str| language == "c" || *flag != "-Wstrict-prototypes";
            common::run(
                Command::new(compiler)
                    .args(["-x", language, &format!("-std={standard}")])
                    .args(STRICT.split_whitespace().filter(for_language))
                    .arg("-I")
                    .arg(include)
                    .args(["-O2", "-c", "-o"])
                    .arg(folder.join("host.o"))
                    .arg(&file),
            );
        }
    }
}

/// Uses a bit of everything, so that an inline function that does not compile is noticed.
const USES: &str = r#"
int host( fd_checkpt_t * checkpt, fd_restore_t * restore );
int
host( fd_checkpt_t * checkpt, fd_restore_t * restore ) {
  ulong sizes = FD_CHECKPT_FOOTPRINT + FD_CHECKPT_ALIGN + FD_RESTORE_FOOTPRINT + FD_RESTORE_ALIGN
              + FD_CHECKPT_META_MAX + FD_CHECKPT_WBUF_MIN + FD_RESTORE_RBUF_MIN + FD_CHECKPT_PRIVATE_CSZ_MAX( 10UL );
  ulong used  = checkpt->wbuf.used + restore->rbuf.ready + checkpt->mmio.sz;
  uchar byte  = checkpt->gbuf[0];
  return fd_checkpt_open( checkpt, FD_CHECKPT_FRAME_STYLE_LZ4 ) + fd_checkpt_close( checkpt )
       + fd_restore_open( restore, FD_CHECKPT_FRAME_STYLE_DEFAULT ) + fd_restore_close( restore )
       + fd_checkpt_is_mmio( checkpt ) + fd_checkpt_in_frame( checkpt ) + !fd_restore_rbuf( restore ) + (sizes==used) + byte;
}
"#;

#[test]
fn compile_alone() {
    compiles("alone", &format!("#include \"fd_checkpt.h\"\n{USES}"), &root().join("include"));
    compiles(
        "alone-beyond",
        "#include \"fdckpt.h\"\nint host( void );\nint host( void ) { return fdckpt_last_error()->code; }\n",
        &root().join("include"),
    );
}

#[test]
fn compile_twice_and_together() {
    let source =
        format!("#include \"fd_checkpt.h\"\n#include \"fdckpt.h\"\n#include \"fd_checkpt.h\"\n#include \"fdckpt.h\"\n{USES}");
    compiles("beside", &source, &root().join("include"));
}

#[test]
fn generated_headers_have_no_placeholders() {
    for file in [
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "docs/format/checkpoint.md",
        "docs/format/container.md",
        "docs/format/frame.md",
        "docs/format/inflate-checkpoint.md",
        "docs/format/inflate-index.md",
        "docs/design/parallel-compression.md",
        "docs/testing.md",
        "include/fd_checkpt.h",
        "include/fdckpt.h",
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let placeholder = text.split('@').skip(1).step_by(2).find(|word| word.chars().all(|c| c.is_ascii_uppercase()));
        assert_eq!(placeholder, None, "{file}");
    }
}

#[test]
fn readme_examples_compile() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let examples = readme.split("```c\n").skip(1).filter_map(|rest| rest.split("```").next());
    let example = examples.collect::<Vec<_>>().join("\n");
    assert!(example.contains("fd_checkpt_open(") && example.contains("fdckpt_container_find("), "{example}");
    let declared = "#include <stdio.h>\n#include <string.h>\nstruct header { int step; };\nstruct settings { int steps; };\n";
    let folder = common::temp_dir("readme");
    fs::write(folder.join("example.c"), format!("{declared}{example}")).unwrap();
    let mut cc = common::cc();
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"]).arg(root().join("include"));
    common::run(cc.arg(folder.join("example.c")));
}

/// A caller that has its own definitions of the basic types and macros.
#[test]
fn compile_with_base_types_of_caller() {
    let base = r#"
#include <stdlib.h>
#include <sys/types.h>
#define FD_FN_PURE
#define FD_FN_CONST
#define FD_STATIC_ASSERT(condition) extern int host_asserts[ (condition) ? 1 : -1 ]
#ifdef __cplusplus
#define FD_PROTOTYPES_BEGIN extern "C" {
#define FD_PROTOTYPES_END }
#else
#define FD_PROTOTYPES_BEGIN
#define FD_PROTOTYPES_END
#endif
"#;
    let types = "typedef unsigned char uchar;\ntypedef unsigned long ulong;\n";
    let macros = "#define uchar unsigned char\n#define ulong unsigned long\n";
    for (name, kind) in [("host-types", types), ("host-macros", macros)] {
        compiles(name, &format!("{base}{kind}#include \"fd_checkpt.h\"\n{USES}"), &root().join("include"));
    }
    // The other order: usual definitions by the caller after the header agree with ours.
    let later = "#define FD_FN_PURE __attribute__((pure))\n#define FD_FN_CONST __attribute__((const))\n\
                 #define FD_STATIC_ASSERT(c) extern int host_asserts[ (c) ? 1 : -1 ]\n";
    compiles("host-later", &format!("#include \"fd_checkpt.h\"\n{types}{later}{USES}"), &root().join("include"));
}

/// In place of the original header: `../log/fd_log.h` exists and defines the base.
#[test]
fn compile_in_place_of_the_original() {
    let tree = common::temp_dir("tree");
    for folder in ["log", "checkpt"] {
        fs::create_dir(tree.join(folder)).unwrap();
    }
    fs::copy(root().join("include/fd_checkpt.h"), tree.join("checkpt/fd_checkpt.h")).unwrap();
    let base = "#ifndef BASE\n#define BASE\n#define BASE_IS_THERE 1\ntypedef unsigned char uchar;\ntypedef unsigned long ulong;\n\
                #define FD_FN_PURE __attribute__((pure))\n#define FD_FN_CONST __attribute__((const))\n#ifdef __cplusplus\n\
                #define FD_PROTOTYPES_BEGIN extern \"C\" {\n#define FD_PROTOTYPES_END }\n#else\n#define FD_PROTOTYPES_BEGIN\n\
                #define FD_PROTOTYPES_END\n#endif\n#endif\n";
    fs::write(tree.join("log/fd_log.h"), base).unwrap();
    let source = format!("#include \"checkpt/fd_checkpt.h\"\n#if !BASE_IS_THERE\n#error\n#endif\n{USES}");
    compiles("in-tree", &source, &tree);
    let guard = "#define HEADER_fd_src_util_checkpt_fd_checkpt_h\n#include \"checkpt/fd_checkpt.h\"\ntypedef int fd_checkpt_t;\nfd_checkpt_t host;\n";
    compiles("guarded", guard, &tree);
}

/// Other data models and byte orders are refused, with a reason.
#[test]
fn reject_other_platforms() {
    for header in ["fd_checkpt.h", "fdckpt.h"] {
        for other in [&["-U__LP64__"][..], &["-U__BYTE_ORDER__", "-D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__"]] {
            let include = root().join("include").join(header);
            let output = common::output(common::cc().args(["-x", "c", "-fsyntax-only"]).args(other).arg(&include));
            assert!(!output.status.success(), "{header} {other:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("little-endian"), "{said}");
        }
    }
}
