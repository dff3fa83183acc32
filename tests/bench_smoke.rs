//! The benchmark measures every row, with next to no data. Speed is not tested; stack use is.

mod common;

use std::process::Command;

#[test]
fn every_row_is_measured_and_plotted() {
    let (program, directory) = (common::bench_target("throughput"), common::temp_dir("bench-results"));
    let rows = common::run(Command::new(&program).args(["--list", "1"]));
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows.len(), 280);

    let (json, picture) = (directory.join("bench.json"), directory.join("bench.svg"));
    let mut bench = Command::new(&program);
    bench.arg("--ours").arg(&*common::SHARED_LIBRARY).arg("--other").arg(&*common::REFERENCE);
    bench.args(["--mib", "1", "--rounds", "1", "--ms", "0"]).arg("--dir").arg(&directory).arg("--json").arg(&json);
    let table = common::run(bench.arg(common::root().join("src")).arg(common::root().join("include")));
    for row in &rows {
        assert!(table.lines().any(|line| line.split_whitespace().next() == Some(row)), "{row} is missing in\n{table}");
    }

    let said = common::run(Command::new("python3").arg(common::root().join("benches/plot.py")).arg(&json).arg(&picture));
    assert!(said.contains("280 rows"), "{said}");
    let picture = std::fs::read_to_string(picture).expect("it was drawn");
    assert_eq!(picture.matches("<circle").count(), rows.len());

    let mut single = Command::new(&program);
    single.arg("--ours").arg(&*common::REFERENCE).args(["--mib", "1", "--loop", "3", "--rows", "lz4/mmio/acgt/16/meta/restore"]);
    let said = common::run(single.arg("--dir").arg(&directory));
    assert!(said.starts_with("lz4/mmio/acgt/16/meta/restore: 3 times 4096 buffers"), "{said}");
}

/// Threads of many programs have 64 KiB. Unoptimised code takes more.
#[test]
fn stack_use_is_bounded() {
    let program = common::bench_target("stack");
    let said = common::run(Command::new(program).arg(&*common::SHARED_LIBRARY));
    let most = said.lines().last().and_then(|line| line.trim().strip_prefix("most: ")).expect("ends with the most");
    assert!(most.parse::<u32>().expect("a number") <= if cfg!(debug_assertions) { 24 << 10 } else { 8 << 10 }, "{said}");
}
