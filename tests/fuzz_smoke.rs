//! The fuzz targets build and run, for a few seconds each. `make fuzz SECONDS=n` is the real thing.

mod common;

#[test]
fn each_target_runs_for_a_moment() {
    let install = "cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet cargo-fuzz --locked";
    if !common::output(std::process::Command::new("sh").args(["-c", install])).status.success() {
        eprintln!("cargo-fuzz can't be installed here: skipped");
        return;
    }
    let output = common::output(common::make("fuzz").arg("SECONDS=3"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let runs = said.lines().filter_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let runs: Vec<u64> = runs.map(|runs| runs.trim().parse().expect("a number")).collect();
    assert!(runs.len() == 11 && runs.iter().all(|&runs| runs > 100), "{runs:?}\n{said}");
}
