//! The headers in `include/` are what cbindgen generates from `src/capi` (`make headers` writes them), and compile
//! without warnings wherever they may be included.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::root;

/// The headers below `include/`, without `.h`, and the modules of `src/capi` whose declarations they have.
const HEADERS: [(&str, &[&str]); 9] = [
    ("fd_checkpt", &["fd_checkpt"]),
    ("fdckpt", &[]),
    ("fdckpt/common", &["error_code", "last_error", "log", "options", "common"]),
    ("fdckpt/checkpoint", &["checkpoint_writer", "checkpoint_reader", "checkpoint_verify"]),
    ("fdckpt/threads", &["threads"]),
    ("fdckpt/frames", &["frames"]),
    ("fdckpt/container", &["container", "block_index"]),
    ("fdckpt/fti", &["fti", "fti_file"]),
    ("fdckpt/inflate", &["inflate", "inflate_index"]),
];

/// Types of C that fd_checkpt.h defines by hand.
const HAND_WRITTEN: [&str; 2] = ["fd_checkpt_t", "fd_restore_t"];

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Generates `include/NAME.h`: the template, with the declarations of the modules in place of `@API@`.
fn generate(name: &str, modules: &[&str]) -> String {
    read(format!("src/capi/header/{name}.h"))
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"))
        .replace("@API@", if modules.is_empty() { "@API@".to_owned() } else { declarations(modules) }.trim())
}

fn declarations(modules: &[&str]) -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    config.export.exclude = HAND_WRITTEN.map(str::to_owned).to_vec();
    let sources: Vec<String> = modules.iter().map(|module| read(format!("src/capi/{module}.rs"))).collect();
    for source in &sources {
        // Also those that no function of the part uses: enums, since functions take `int`, and types of other parts.
        for kind in ["pub enum ", "pub struct ", "pub type "] {
            config.export.include.extend(words_after(source, kind).map(str::to_owned));
        }
    }
    let mut builder = cbindgen::Builder::new().with_config(config);
    for module in modules {
        builder = builder.with_src(root().join(format!("src/capi/{module}.rs")));
    }
    let bindings = builder.generate().expect("cbindgen understands the source");
    let mut header = Vec::new();
    bindings.write(&mut header);
    let mut header = with_short_comments(&without_safety_sections(&String::from_utf8(header).expect("UTF-8")));
    for source in &sources {
        for growable in source.split("growable! { ").skip(1) {
            let name = growable.split_whitespace().next().expect("a name");
            header = with_initialiser(&header, name);
        }
    }
    header
}

fn words_after<'s>(text: &'s str, prefix: &'s str) -> impl Iterator<Item = &'s str> {
    text.split(prefix).skip(1).filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
}

/// `# Safety` sections are for Rust: C callers find the same at the parameters.
fn without_safety_sections(header: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_safety = false;
    for line in header.lines() {
        is_safety |= line == " * # Safety";
        if line == " */" && is_safety {
            is_safety = false;
            while kept.last() == Some(&" *") {
                kept.pop();
            }
        }
        if !is_safety {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// Comments of one line get one line.
fn with_short_comments(header: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in header.lines() {
        let is_short = line.ends_with("*/") && lines.len() >= 2 && lines[lines.len() - 2].trim_end().ends_with("/**");
        let short = |lines: &[String]| format!("{} {} */", lines[0], lines[1].trim_start().trim_start_matches("* "));
        match lines.len().checked_sub(2).filter(|_| is_short).map(|start| short(&lines[start..])) {
            Some(short) if short.len() <= 100 => {
                lines.truncate(lines.len() - 2);
                lines.push(short);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

/// Adds the macro that initialises the struct, `FDCKPT_<NAME>_INIT`, after it. It has a value for each field, as a compiler
/// warns of missing ones.
fn with_initialiser(header: &str, name: &str) -> String {
    let end = format!("}} {name};\n");
    let (before, after) = header.split_once(&end).unwrap_or_else(|| panic!("{name} is not in the header"));
    let (_, fields) = before.rsplit_once('{').expect("a struct");
    let fields = fields.lines().map(str::trim).filter(|line| line.ends_with(';') && !line.starts_with(['*', '/']));
    let values = fields.skip(1).map(|field| match field {
        _ if field.contains('[') => ", { 0 }",
        _ if field.contains('*') || field.contains("_fn_t ") => ", NULL",
        _ => ", 0",
    });
    let init = format!("{}_INIT", name.trim_end_matches("_t").to_uppercase());
    let values: String = values.collect();
    format!("{before}{end}\n/** Initialiser of {name}. */\n#define {init} \\\n  {{ sizeof({name}){values} }}\n{after}")
}

#[test]
fn headers_are_up_to_date() {
    for (name, modules) in HEADERS {
        let (path, generated) = (root().join(format!("include/{name}.h")), generate(name, modules));
        if std::env::var_os("FDCKPT_TEST_WRITE_HEADERS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).expect("include/ is writable");
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
}

#[test]
fn fdckpt_h_includes_all_parts() {
    let header = read("include/fdckpt.h");
    let parts: Vec<&str> = HEADERS.iter().map(|(name, _)| *name).filter(|name| name.contains('/')).collect();
    let included: Vec<&str> = words_in_quotes(&header, "#include \"").collect();
    assert_eq!(included.last_chunk().map(|last: &[_; 7]| last.to_vec()).unwrap_or_default(), parts);
    let in_directory = fs::read_dir(root().join("include/fdckpt")).unwrap().map(|entry| entry.unwrap().file_name());
    let in_directory: BTreeSet<String> = in_directory.map(|name| format!("fdckpt/{}", name.to_string_lossy())).collect();
    assert_eq!(in_directory, parts.iter().map(|part| format!("{part}.h")).collect());
}

fn words_in_quotes<'s>(text: &'s str, prefix: &'s str) -> impl Iterator<Item = &'s str> {
    text.split(prefix).skip(1).filter_map(|rest| rest.split(".h\"").next())
}

#[test]
fn lines_have_at_most_100_columns() {
    for (name, _) in HEADERS {
        let header = read(format!("include/{name}.h"));
        let long: Vec<&str> = header.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(long.is_empty(), "{name}.h: {long:#?}");
    }
}

/// Each function says what it does, what each parameter is, what it returns, and who may call it.
#[test]
fn functions_are_documented_in_fixed_slots() {
    for (name, modules) in HEADERS.iter().filter(|(name, _)| *name != "fd_checkpt") {
        let header = read(format!("include/{name}.h"));
        let mut functions = 0;
        for item in header.split("\n/**\n").skip(1) {
            let (comment, rest) = item.split_once(" */\n").expect("a comment ends");
            let prototype = rest.split_once(");").map(|(prototype, _)| prototype).unwrap_or_default();
            let Some((before, parameters)) = prototype.split_once('(') else { continue };
            if before.contains(['{', ';', '#']) || before.starts_with("typedef") {
                continue;
            }
            functions += 1;
            let (result, function) = before.rsplit_once([' ', '*']).expect("a result");
            assert!(comment.contains(" * Thread safety: "), "{function}");
            assert_eq!(comment.contains(" * @return "), result != "void", "{function}");
            for parameter in parameters.split(',').filter(|parameter| *parameter != "void") {
                let parameter = parameter.rsplit([' ', '*']).next().unwrap();
                assert!(comment.contains(&format!(" * @param {parameter} ")), "{function}: {parameter}");
            }
        }
        let exported: usize =
            modules.iter().map(|module| read(format!("src/capi/{module}.rs")).matches("no_mangle").count()).sum();
        assert_eq!(functions, exported, "{name}.h");
    }
}

const C_AND_CXX: [(&str, &str); 3] = [("c", "c11"), ("c", "c17"), ("c++", "c++17")];

const STRICT: &str = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wstrict-aliasing=2 \
     -Wundef -Werror";

/// Compiles `source` in each language and by each compiler there is, with the headers found by `include`.
fn compiles(name: &str, source: &str, include: &Path) {
    let dir = common::temp_dir(name);
    for (language, standard) in C_AND_CXX {
        for compiler in if language == "c" { ["gcc", "clang"] } else { ["g++", "clang++"] } {
            if !common::has_program(compiler) {
                continue;
            }
            let file = dir.join(if language == "c" { "host.c" } else { "host.cpp" });
            fs::write(&file, source).unwrap();
            let for_language = |flag: &&str| language == "c" || *flag != "-Wstrict-prototypes";
            common::run(
                Command::new(compiler)
                    .args(["-x", language, &format!("-std={standard}")])
                    .args(STRICT.split_whitespace().filter(for_language))
                    .arg("-I")
                    .arg(include)
                    .args(["-O2", "-c", "-o"])
                    .arg(dir.join("host.o"))
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
    for (name, _) in HEADERS.iter().filter(|(name, _)| name.contains('/')) {
        let uses = format!("#include \"{name}.h\"\nint host( void );\nint host( void ) {{ return FDCKPT_ERR_IO; }}\n");
        compiles(&format!("alone-{}", name.replace('/', "-")), &uses, &root().join("include"));
    }
}

/// The initialiser of each struct has a value for each field, in C and C++.
#[test]
fn initialisers_compile() {
    let mut source = "#include \"fdckpt.h\"\n".to_owned();
    let mut count = 0;
    for (name, _) in HEADERS {
        for init in words_after(&read(format!("include/{name}.h")), "#define FDCKPT_").filter(|name| name.ends_with("_INIT")) {
            let variable = init.to_lowercase();
            let value = format!("fdckpt_{} {variable} = FDCKPT_{init};", variable.replace("_init", "_t"));
            source += &format!(
                "size_t host_{variable}( void );\nsize_t host_{variable}( void ) {{ {value} return {variable}.struct_size; }}\n"
            );
            count += 1;
        }
    }
    // Each is tested with the size of its first version, later ones and invalid ones.
    let tested = read("ctests/c_api/struct_size.c");
    for init in words_after(&source, " = FDCKPT_") {
        assert!(tested.contains(&format!("\"FDCKPT_{init}\"")), "{init}");
    }
    let growable: usize = HEADERS
        .iter()
        .flat_map(|(_, modules)| *modules)
        .map(|module| read(format!("src/capi/{module}.rs")).matches("growable! { ").count())
        .sum();
    assert!(count == growable && count > 0, "{source}");
    compiles("initialisers", &source, &root().join("include"));
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
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(HEADERS.iter().map(|(name, _)| format!("include/{name}.h")))
    {
        let text = read(&file);
        let placeholder = text.split('@').skip(1).step_by(2).find(|word| word.chars().all(|c| c.is_ascii_uppercase()));
        assert_eq!(placeholder, None, "{file}");
    }
}

/// The example that fdckpt.h begins with is a complete program.
#[test]
fn example_of_fdckpt_h_compiles() {
    let header = read("include/fdckpt.h");
    let from = header.find("     #include <stdio.h>").expect("the example's first line");
    let lines = header[from..].lines().take_while(|line| line.is_empty() || line.starts_with("     "));
    let example = lines.map(|line| line.trim_start_matches("     ")).collect::<Vec<_>>().join("\n");
    assert!(example.contains("main( void )"), "{example}");
    let dir = common::temp_dir("example");
    fs::write(dir.join("example.c"), example).unwrap();
    let mut cc = common::cc();
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"]).arg(root().join("include"));
    common::run(cc.arg(dir.join("example.c")));
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
    for dir in ["log", "checkpt"] {
        fs::create_dir(tree.join(dir)).unwrap();
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
    for header in HEADERS.map(|(name, _)| format!("{name}.h")) {
        for other in [&["-U__LP64__"][..], &["-U__BYTE_ORDER__", "-D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__"]] {
            let include = root().join("include").join(&header);
            let output = common::output(common::cc().args(["-x", "c", "-fsyntax-only"]).args(other).arg(&include));
            assert!(!output.status.success(), "{header} {other:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("little-endian"), "{said}");
        }
    }
}
