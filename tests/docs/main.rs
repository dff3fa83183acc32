//! The documentation is true: its C snippets compile and run, its links, paths and tasks exist. (Rust snippets are doctests, see
//! src/lib.rs; shell sessions are run by the tests of the command-line tool.)
//!
//! A C snippet with a `main` is a program, and a `text` block right after it is what it prints. Other snippets of a page `PAGE.md` are
//! compiled by the harness `PAGE.c` beside this file, which includes them as `PAGE-1.c`, `PAGE-2.c`, ... and runs them.

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::root;

/// All documents of the repository, but for those of test data.
fn documents() -> Vec<PathBuf> {
    let mut documents = Vec::new();
    let mut directories = vec![root().join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path);
            }
        }
    }
    documents.extend(["README.md", "CHANGELOG.md", "SECURITY.md"].map(|name| root().join(name)));
    documents.sort();
    documents
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8")
}

/// A fenced block of code.
struct Block {
    language: String,
    code: String,
    /// Whether only blank lines and an introduction of one line are between it and the block before.
    follows: bool,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::<Block>::new();
    let (mut open, mut lines_between) = (false, 0);
    for line in document.lines() {
        match line.strip_prefix("```") {
            Some(_) if open => (open, lines_between) = (false, 0),
            Some(language) => {
                blocks.push(Block { language: language.to_owned(), code: String::new(), follows: lines_between <= 1 });
                open = true;
            }
            None if open => {
                let block = blocks.last_mut().expect("it is open");
                block.code.push_str(line);
                block.code.push('\n');
            }
            None => lines_between += usize::from(!line.trim().is_empty()),
        }
    }
    assert!(!open, "a block of code is not closed");
    blocks
}

/// The document without blocks of code.
fn prose(document: &str) -> String {
    document.split("```").step_by(2).collect()
}

fn compile(source: &Path, include: &Path) -> PathBuf {
    let program = source.with_extension("");
    let mut cc = common::cc();
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-I"]).arg(root().join("include"));
    cc.arg("-I").arg(include).arg(source).arg("-o").arg(&program).args(common::link_flags());
    common::run(&mut cc);
    program
}

fn run(program: &Path) -> String {
    common::run(Command::new(program).current_dir(program.parent().expect("a directory")).env("FDCKPT_LOG", "off"))
}

#[test]
fn c_programs_run_and_print_what_is_shown() {
    let mut count = 0;
    for document in documents() {
        let blocks = blocks(&text(&document));
        for (i, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "c" && is_program(&block.code)) {
            let directory = common::temp_dir(&format!("docs-program-{}-{i}", stem(&document)));
            let source = directory.join("example.c");
            fs::write(&source, &block.code).expect("writable");
            let output = run(&compile(&source, &directory));
            match blocks.get(i + 1) {
                Some(shown) if shown.language == "text" && shown.follows => {
                    assert_eq!(output, shown.code, "{}", document.display())
                }
                _ => assert_eq!(output, "", "{}: the output is not shown", document.display()),
            }
            count += 1;
        }
    }
    assert!(count > 0);
}

fn is_program(code: &str) -> bool {
    code.contains("\nmain(")
}

#[test]
fn c_fragments_run_in_their_harness() {
    let mut used = BTreeSet::new();
    for document in documents() {
        let blocks = blocks(&text(&document));
        let fragments: Vec<&Block> = blocks.iter().filter(|block| block.language == "c" && !is_program(&block.code)).collect();
        if fragments.is_empty() {
            continue;
        }
        let name = stem(&document);
        let harness = root().join(format!("tests/docs/{name}.c"));
        let directory = common::temp_dir(&format!("docs-{name}"));
        for (i, fragment) in fragments.iter().enumerate() {
            let file = format!("{name}-{}.c", i + 1);
            assert!(text(&harness).contains(&format!("#include \"{file}\"")), "{}: {file} is not tested", harness.display());
            fs::write(directory.join(file), &fragment.code).expect("writable");
        }
        fs::copy(&harness, directory.join("harness.c")).expect("writable");
        run(&compile(&directory.join("harness.c"), &directory));
        used.insert(harness);
    }
    for entry in fs::read_dir(root().join("tests/docs")).expect("readable") {
        let path = entry.expect("readable").path();
        let is_harness = path.extension().is_some_and(|extension| extension == "c");
        assert!(!is_harness || used.contains(&path), "{}: of no document", path.display());
    }
}

#[test]
fn the_program_in_the_readme_reports_errors_and_writes_the_regions() {
    let readme = blocks(&text(&root().join("README.md")));
    let program = readme.iter().find(|block| block.language == "c").expect("an example in C");
    let directory = common::temp_dir("docs-readme");
    fs::write(directory.join("example.c"), &program.code).expect("writable");
    let program = compile(&directory.join("example.c"), &directory);
    let failed = common::output(Command::new(&program).arg("/no/such/directory/file").env("FDCKPT_LOG", "off"));
    let message = String::from_utf8(failed.stderr).expect("UTF-8");
    assert!(!failed.status.success() && message.contains("/no/such/directory/file: "), "{message}");
    let path = directory.join("state.ckpt");
    common::run(Command::new(&program).arg(&path));
    let reader = fdckpt::checkpoint::Reader::open(&path).expect("intact");
    assert_eq!(reader.regions().map(|entry| entry.name()).collect::<Vec<_>>(), ["temperature", "velocity", "step"]);
}

#[test]
fn rust_snippets_are_doctests() {
    let library = text(&root().join("src/lib.rs"));
    for document in documents() {
        let relative = document.strip_prefix(root()).expect("below the root").display().to_string();
        if blocks(&text(&document)).iter().any(|block| block.language.starts_with("rust")) {
            assert!(library.contains(&format!("include_str!(\"../{relative}\")")), "{relative} is not in src/lib.rs");
        }
    }
}

#[test]
fn the_readme_is_short() {
    let lines = text(&root().join("README.md")).lines().count();
    assert!(lines <= 200, "{lines} lines");
}

#[test]
fn no_placeholder_is_left() {
    for document in documents() {
        let text = text(&document);
        let mut words = text.split('@').skip(1).step_by(2);
        let placeholder = words.find(|word| word.chars().all(|c| c.is_ascii_uppercase()));
        assert_eq!(placeholder, None, "{}", document.display());
        for word in ["TODO", "FIXME", "TBD", "XXX"] {
            assert!(!text.contains(word), "{}: {word}", document.display());
        }
    }
}

/// The anchors that GitHub gives to the headings of a document.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = prose(document);
    let headings = headings.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn relative_links_resolve() {
    let mut count = 0;
    for document in documents() {
        let prose = prose(&text(&document));
        for target in prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default()) {
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { document.clone() } else { document.with_file_name("").join(path) };
            assert!(file.exists(), "{}: {target} does not exist", document.display());
            let found = anchor.is_empty() || anchors(&text(&file)).contains(anchor);
            assert!(found, "{}: {target}: no such heading", document.display());
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

/// Inline code.
fn code_spans(prose: &str) -> impl Iterator<Item = &str> {
    prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn paths_in_the_documents_exist() {
    let top = ["benches", "ctests", "docs", "examples", "fuzz", "include", "src", "tests", "tools"];
    let is_path_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    let mut count = 0;
    for document in documents() {
        let prose = prose(&text(&document));
        let paths = code_spans(&prose).filter(|span| span.split_once('/').is_some_and(|(first, _)| top.contains(&first)));
        for path in paths.filter(|path| path.chars().all(is_path_char)) {
            assert!(root().join(path).exists(), "{}: {path} does not exist", document.display());
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn tasks_in_the_documents_are_in_the_makefile() {
    let makefile = text(&root().join("Makefile"));
    let mut count = 0;
    for document in documents() {
        let text = text(&document);
        let blocks = blocks(&text);
        let shell =
            blocks.iter().filter(|block| matches!(&*block.language, "sh" | "console")).flat_map(|block| block.code.lines());
        let prose = prose(&text);
        for command in shell.chain(code_spans(&prose)) {
            for arguments in command.split("make ").skip(1).filter(|_| is_make(command)) {
                let arguments = arguments.split(['#', ';', '&', '|']).next().unwrap_or_default();
                for task in arguments.split_whitespace().filter(|word| !word.contains('=')) {
                    assert!(makefile.contains(&format!("\n{task}:")), "{}: make {task}: no such task", document.display());
                    count += 1;
                }
            }
        }
    }
    assert!(count > 20, "{count}");
}

fn is_make(command: &str) -> bool {
    command.trim_start_matches("$ ").starts_with("make ") || command.contains("&& sudo make ")
}
