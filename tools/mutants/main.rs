//! Which small changes of the source do the tests not notice?
//!
//! cargo-mutants knows the changes, but builds everything anew for each: some 15 s, of which the tests that matter take one. Here all
//! of them are compiled into one build, in which the environment variable `FDCKPT_MUTANT` chooses one. Each test is run alone
//! once, to see which mutants it reaches; then each mutant is tried with the tests that reach it, the likely and quick ones first, until
//! one fails. What is fixed at compile time (constants, `const fn`) is left to cargo-mutants itself.
//!
//! Usage: mutants FOLDER PLACE... (run in the repository: FOLDER for the copy and the results, PLACE such as src/frame)
//! Environment: SECONDS for the tests of one mutant (60).

mod rewrite;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A small change of the source.
struct Mutant {
    /// Numbered from 1; 0 is none.
    number: u32,
    name: String,
    file: String,
    function: String,
    genre: String,
    /// Line and column, from 1.
    at: (usize, usize),
    replacement: String,
}

struct Test {
    binary: PathBuf,
    name: String,
    time: Duration,
    reaches: HashSet<u32>,
}

enum Outcome {
    Noticed {
        by: String,
    },
    TooSlow {
        by: String,
    },
    Unnoticed,
    /// Not by the tests that there was time for.
    UnnoticedInTime,
    Unreached,
}

/// These are about the build, or don't use the library as it is built here.
const WITHOUT: [&str; 5] = ["architecture", "artifacts", "bench_smoke", "fuzz_smoke", "headers"];

/// What the compiler is reported: no debugging information, but some speed, for there is one build and thousands of runs.
const BUILD: [(&str, &str); 4] = [
    ("RUSTFLAGS", "--cap-lints=allow"),
    ("CARGO_PROFILE_DEV_DEBUG", "0"),
    ("CARGO_PROFILE_TEST_DEBUG", "0"),
    ("CARGO_PROFILE_DEV_OPT_LEVEL", "1"),
];

const REACHED_SIZE: usize = 1 << 16;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("a directory for the copy"));
    let places: Vec<String> = arguments.collect();
    assert!(!places.is_empty(), "name at least one place, such as src/frame");
    fs::create_dir_all(&dir).expect("the directory can be made");
    let dir = dir.canonicalize().expect("the directory is there");
    let work = Work { tree: dir.join("tree"), target: dir.join("target"), scratch: dir.join("scratch") };

    work.copy_repository();
    let mutants = work.list(&places);
    let (tried, wrong) = work.put_in(&mutants);
    println!("{} mutants, {} of them in the build, {} do not compile", mutants.len(), tried.len(), wrong.len());
    let binaries = work.build_tests();
    let tests = work.try_tests(&binaries);
    println!("{} tests, {} s", tests.len(), tests.iter().map(|test| test.time.as_secs_f64()).sum::<f64>() as u64);
    let seconds = std::env::var("SECONDS").map_or(60, |seconds| seconds.parse().expect("SECONDS is a number"));
    let outcomes = work.try_mutants(&tried, &tests, Duration::from_secs(seconds), &dir.join("results.txt"));
    report(&mutants, &outcomes, &wrong);
}

fn report(mutants: &[Mutant], outcomes: &HashMap<u32, Outcome>, wrong: &HashSet<u32>) {
    let mut counts = BTreeMap::new();
    for mutant in mutants {
        let what = match outcomes.get(&mutant.number) {
            None if wrong.contains(&mutant.number) => "do not compile",
            None => "left to cargo-mutants, being fixed at compile time",
            Some(Outcome::Noticed { .. }) => "noticed",
            Some(Outcome::TooSlow { .. }) => "noticed (too slow)",
            Some(Outcome::Unnoticed) => "NOT NOTICED",
            Some(Outcome::UnnoticedInTime) => "NOT NOTICED in time",
            Some(Outcome::Unreached) => "NOT REACHED",
        };
        *counts.entry(what).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    println!("mutants: {}", counts.join(", "));
}

struct Work {
    tree: PathBuf,
    target: PathBuf,
    scratch: PathBuf,
}

impl Work {
    /// A fresh copy of what is under version control, as it stands in the working tree.
    fn copy_repository(&self) {
        _ = fs::remove_dir_all(&self.tree);
        let files = Command::new("git").args(["ls-files", "-z"]).output().expect("git can be run").stdout;
        for name in String::from_utf8(files).expect("names are UTF-8").split_terminator('\0') {
            let to = self.tree.join(name);
            fs::create_dir_all(to.parent().expect("a file has a directory")).expect("directories can be made");
            fs::copy(name, to).expect("files can be copied");
        }
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments).current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target).stdin(Stdio::null());
        cargo
    }

    fn list(&self, places: &[String]) -> Vec<Mutant> {
        let output = self.cargo(&["mutants", "--list", "--json"]).output().expect("cargo can be run");
        let list: Vec<Value> = serde_json::from_slice(&output.stdout).expect("cargo-mutants gives a list in JSON");
        let here = list.iter().filter(|mutant| places.iter().any(|place| text(&mutant["file"]).starts_with(place)));
        let read = |(number, mutant): (u32, &Value)| Mutant {
            number,
            name: text(&mutant["name"]),
            file: text(&mutant["file"]),
            function: text(&mutant["function"]["function_name"]),
            genre: text(&mutant["genre"]),
            at: {
                let start = &mutant["span"]["start"];
                (start["line"].as_u64().unwrap_or(0) as usize, start["column"].as_u64().unwrap_or(0) as usize)
            },
            replacement: text(&mutant["replacement"]),
        };
        let mutants: Vec<_> = (1..REACHED_SIZE as u32).zip(here).map(read).collect();
        assert!(!mutants.is_empty(), "cargo-mutants finds nothing to change there");
        mutants
    }

    /// Rewrites the copy so that it has the mutants that compile, which are returned, and those that do not.
    fn put_in<'m>(&self, mutants: &'m [Mutant]) -> (Vec<&'m Mutant>, HashSet<u32>) {
        let mut originals: BTreeMap<&str, String> = BTreeMap::new();
        for mutant in mutants {
            let read = || fs::read_to_string(self.tree.join(&mutant.file)).expect("the source can be read");
            originals.entry(&mutant.file).or_insert_with(read);
        }
        let root = self.tree.join("src/lib.rs");
        let plain_root = fs::read_to_string(&root).expect("the source can be read");
        let mut wrong = HashSet::new();
        loop {
            fs::write(&root, &plain_root).expect("the copy can be changed");
            let mut there = HashSet::new();
            for (file, original) in &originals {
                let of_file = |mutant: &&Mutant| mutant.file == *file && !wrong.contains(&mutant.number);
                let of_file: Vec<_> = mutants.iter().filter(of_file).collect();
                let path = if file.starts_with("src/bin/") { "fdckpt::__mutant" } else { "crate::__mutant" };
                let text = rewrite::rewrite(original, &of_file, path);
                there.extend(of_file.iter().map(|m| m.number).filter(|number| text.contains(&format!("{path}({number})"))));
                fs::write(self.tree.join(file), text).expect("the copy can be changed");
            }
            let with_switch = fs::read_to_string(&root).expect("the source can be read") + include_str!("switch.rs");
            fs::write(&root, with_switch).expect("the copy can be changed");
            let more = self.do_not_compile(mutants);
            if more.is_empty() {
                return (mutants.iter().filter(|mutant| there.contains(&mutant.number)).collect(), wrong);
            }
            wrong.extend(more);
        }
    }

    /// The mutants of the places where the compiler finds fault.
    fn do_not_compile(&self, mutants: &[Mutant]) -> HashSet<u32> {
        let mut check = self.cargo(&["check", "--lib", "--bins", "--features", "c-tests,cli", "--message-format=json"]);
        let output = check.envs(BUILD).output().expect("cargo can be run");
        let mut wrong = HashSet::new();
        let lines = String::from_utf8_lossy(&output.stdout);
        for message in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let message = &message["message"];
            if message["level"] != "error" {
                continue;
            }
            for span in message["spans"].as_array().into_iter().flatten().filter(|span| span["is_primary"] == true) {
                let mut span = span;
                while !text(&span["file_name"]).starts_with("src/") && span["expansion"].is_object() {
                    span = &span["expansion"]["span"];
                }
                let Ok(source) = fs::read_to_string(self.tree.join(text(&span["file_name"]))) else { continue };
                let byte = |of: &str| span[of].as_u64().unwrap_or(0) as usize;
                if message["code"]["code"] == "E0004" {
                    // Without the arm the match is not exhaustive.
                    let arms = marks(block(&source[byte("byte_end")..])).flat_map(|mark| mark.numbers);
                    let is_arm = |number: &u32| mutants[*number as usize - 1].genre == "MatchArm";
                    wrong.extend(arms.filter(is_arm));
                } else {
                    wrong.extend(innermost(&source[..byte("byte_start")]));
                }
            }
        }
        assert!(output.status.success() || !wrong.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        wrong
    }

    /// The test programs: names and paths.
    fn build_tests(&self) -> Vec<(String, PathBuf)> {
        let mut build = self.cargo(&["test", "--no-run", "--features", "c-tests,cli", "--message-format=json"]);
        let output = build.envs(BUILD).stderr(Stdio::inherit()).output().expect("cargo can be run");
        assert!(output.status.success(), "the tests don't compile");
        let lines = String::from_utf8_lossy(&output.stdout);
        let artifacts = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let tests = artifacts.filter(|artifact| artifact["profile"]["test"] == true && artifact["executable"].is_string());
        let named = tests.map(|test| (text(&test["target"]["name"]), PathBuf::from(text(&test["executable"]))));
        named.filter(|(name, _)| !WITHOUT.contains(&name.as_str())).collect()
    }

    /// Runs each test alone. Those that fail without any mutant say nothing, and are left out.
    fn try_tests(&self, binaries: &[(String, PathBuf)]) -> Vec<Test> {
        let mut named = Vec::new();
        for (_, binary) in binaries {
            let list = Command::new(binary).args(["--list", "--format", "terse"]).current_dir(&self.tree).output();
            let list = String::from_utf8(list.expect("a test can be run").stdout).expect("names are UTF-8");
            named.extend(
                list.lines().filter_map(|line| line.strip_suffix(": test")).map(|name| (binary.clone(), name.to_owned())),
            );
        }
        let tests = Mutex::new(Vec::new());
        side_by_side(&named, |worker, (binary, name)| {
            let marks = tempfile::NamedTempFile::new().expect("temporary files can be made");
            marks.as_file().set_len(REACHED_SIZE as u64).expect("temporary files can be made");
            let mut test = Test { binary: binary.clone(), name: name.clone(), time: Duration::ZERO, reaches: HashSet::new() };
            let variable = ("FDCKPT_MUTANTS_REACHED", marks.path().display().to_string());
            let (ended, time) = self.run(worker, &test, variable, Duration::from_secs(600));
            if ended != Some(true) {
                println!("left out, for it fails without any mutant: {name}");
                return;
            }
            let marks = fs::read(marks.path()).expect("temporary files can be read");
            test.time = time;
            test.reaches = (0..).zip(marks).filter(|(_, mark)| *mark != 0).map(|(number, _)| number).collect();
            tests.lock().unwrap().push(test);
        });
        tests.into_inner().unwrap()
    }

    fn try_mutants(&self, mutants: &[&Mutant], tests: &[Test], limit: Duration, results: &Path) -> HashMap<u32, Outcome> {
        let results = Mutex::new(File::create(results).expect("the file for the results can be made"));
        let outcomes = Mutex::new(HashMap::new());
        // How often a test noticed a mutant of a function, or of a file.
        let noticed: Mutex<HashMap<(String, usize), u32>> = Mutex::default();
        side_by_side(mutants, |worker, mutant| {
            let places = [&mutant.function, &mutant.file];
            let mut candidates: Vec<_> =
                tests.iter().enumerate().filter(|(_, test)| test.reaches.contains(&mutant.number)).collect();
            {
                let noticed = noticed.lock().unwrap();
                let times = |place: &String, index| noticed.get(&(place.clone(), index)).copied().unwrap_or(0);
                candidates.sort_by_cached_key(|(index, test)| {
                    let likely = 1 + 20 * times(places[0], *index) + 3 * times(places[1], *index);
                    (test.time + Duration::from_millis(50)) / likely
                });
            }
            let mut outcome = if candidates.is_empty() { Outcome::Unreached } else { Outcome::Unnoticed };
            let mut spent = Duration::ZERO;
            for (index, test) in candidates {
                if spent + test.time > limit && !spent.is_zero() {
                    outcome = Outcome::UnnoticedInTime;
                    continue;
                }
                let variable = ("FDCKPT_MUTANT", mutant.number.to_string());
                let (ended, time) = self.run(worker, test, variable, 6 * test.time + Duration::from_secs(4));
                spent += time;
                let by = test.name.clone();
                outcome = match ended {
                    Some(true) => continue,
                    Some(false) => Outcome::Noticed { by },
                    None => Outcome::TooSlow { by },
                };
                let mut noticed = noticed.lock().unwrap();
                places.iter().for_each(|place| *noticed.entry(((*place).clone(), index)).or_default() += 1);
                break;
            }
            let mut line = String::new();
            _ = match &outcome {
                Outcome::Noticed { by } => write!(line, "noticed by {by}"),
                Outcome::TooSlow { by } => write!(line, "too slow in {by}"),
                Outcome::Unnoticed => write!(line, "NOT NOTICED"),
                Outcome::UnnoticedInTime => write!(line, "NOT NOTICED in {} s", spent.as_secs()),
                Outcome::Unreached => write!(line, "NOT REACHED"),
            };
            if line.starts_with("NOT") {
                println!("{line}: {}", mutant.name);
            }
            _ = writeln!(results.lock().unwrap(), "{line}: {}", mutant.name);
            outcomes.lock().unwrap().insert(mutant.number, outcome);
        });
        outcomes.into_inner().unwrap()
    }

    /// Runs one test, in a directory for temporary files of its own. Whether it passed, or `None` if it was ended after `limit`; and its time.
    fn run(&self, worker: usize, test: &Test, variable: (&str, String), limit: Duration) -> (Option<bool>, Duration) {
        let scratch = self.scratch.join(worker.to_string());
        _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).expect("directories can be made");
        let libraries = self.target.join("debug");
        let mut command = Command::new(&test.binary);
        command.args(["--exact", &test.name, "--test-threads=1"]).current_dir(&self.tree).process_group(0);
        command
            .env("TMPDIR", &scratch)
            .env("CARGO_TARGET_TMPDIR", &scratch)
            .env("CARGO_MANIFEST_DIR", &self.tree)
            .env(variable.0, variable.1);
        command.env("LD_LIBRARY_PATH", format!("{0}/deps:{0}", libraries.display()));
        command.envs([("FDCKPT_TEST_MODEL_CASES", "100"), ("FDCKPT_TEST_CORRUPTION_CASES", "200"), ("PROPTEST_CASES", "40")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: setrlimit may be called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // What a mutant may take: no core files, 24 GiB of addresses, files of 7 GiB.
                for (what, most) in [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_AS, 24 << 30), (libc::RLIMIT_FSIZE, 7 << 30)] {
                    libc::setrlimit(what, &libc::rlimit { rlim_cur: most, rlim_max: most });
                }
                Ok(())
            });
        }
        let began = Instant::now();
        let mut child = command.spawn().expect("a test can be run");
        let status = loop {
            match child.try_wait().expect("a test can be waited for") {
                Some(status) => break Some(status),
                None if began.elapsed() > limit => break None,
                None => std::thread::sleep(Duration::from_millis(5).min(began.elapsed() / 8)),
            }
        };
        // Whatever it started ends with it.
        // SAFETY: takes and changes no memory.
        unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
        _ = child.wait();
        (status.map(|status| status.success() && status.signal().is_none()), began.elapsed())
    }
}

/// Does the work for each item, on as many threads as there are processors.
fn side_by_side<T: Sync>(items: &[T], work: impl Fn(usize, &T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                while let Some(item) = items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    work(worker, item);
                }
            });
        }
    });
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A mark of `rewrite`: where it stands, whether it begins something, and what.
struct Mark {
    begins: bool,
    numbers: Vec<u32>,
}

fn marks(text: &str) -> impl Iterator<Item = Mark> {
    text.split("/*").skip(1).filter_map(|comment| {
        let (comment, _) = comment.split_once("*/")?;
        let numbers = comment.strip_prefix(['S', 'M']).and_then(|rest| rest.strip_suffix('<'));
        match numbers {
            Some(numbers) => {
                let numbers = numbers.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
                Some(Mark { begins: true, numbers })
            }
            None => matches!(comment, ">S" | ">M").then_some(Mark { begins: false, numbers: Vec::new() }),
        }
    })
}

/// The mutants of the innermost mark that is open at the end of the text.
fn innermost(text: &str) -> Vec<u32> {
    let mut open = Vec::new();
    for mark in marks(text) {
        if mark.begins {
            open.push(mark.numbers);
        } else {
            open.pop();
        }
    }
    open.pop().unwrap_or_default()
}

/// The first block in braces.
fn block(text: &str) -> &str {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return &text[..at],
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text
}
