//! The fuzz targets build and run, for a few seconds each, if cargo-fuzz is installed. `make fuzz SECONDS=n` does more.

mod common;

#[test]
fn every_fuzz_target_runs() {
    if !common::has_program("cargo-fuzz") {
        return;
    }
    let output = common::output(common::make("fuzz").arg("SECONDS=3"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let runs = said.lines().filter_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let runs: Vec<u64> = runs.map(|runs| runs.trim().parse().expect("a number")).collect();
    assert!(runs.len() == 11 && runs.iter().all(|&runs| runs > 100), "{runs:?}\n{said}");
}
