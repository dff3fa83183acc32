//! Tests that run in a process of their own, for what they change or need there.

/// Set in the environment of a child.
pub(super) const IN_CHILD: &str = "FDCKPT_TEST_IN_CHILD";

/// Runs a test of this program in a child process in which `variable` has this value, or is unset. Returns whether it
/// passed.
pub(super) fn passes_with_env(test: &str, variable: &str, value: Option<&str>) -> bool {
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", test]).env(IN_CHILD, "1").env_remove(variable).envs(value.map(|value| (variable, value)));
    let output = program.output().unwrap();
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed")
}
