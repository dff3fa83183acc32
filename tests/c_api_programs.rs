//! Runs the C test suite (`ctests/c_api`) as programs linked with the shared library, also under valgrind.

mod common;

use std::path::Path;
use std::process::Command;

use common::trace_arguments;

mod shared_library {
    use super::*;

    #[test]
    fn golden_trace() {
        let program = common::c_program("golden_trace");
        for args in trace_arguments() {
            common::run(Command::new(&program).args(args));
        }
    }

    /// Several threads give the same results.
    #[test]
    fn golden_trace_with_threads() {
        let program = common::c_program("golden_trace");
        for args in trace_arguments() {
            common::run(Command::new(&program).args(args).env("FDCKPT_THREADS", "4"));
        }
    }

    #[test]
    fn abi() {
        common::run(&mut Command::new(common::c_program("abi")));
    }

    #[test]
    fn struct_size() {
        common::run(&mut Command::new(common::c_program("struct_size")));
    }

    #[test]
    fn io() {
        common::run(&mut Command::new(common::c_program("io")));
    }

    #[test]
    fn corruption() {
        common::run(&mut Command::new(common::c_program("corruption")));
    }

    #[test]
    fn threads() {
        common::run(&mut Command::new(common::c_program("threads")));
    }

    #[test]
    fn container() {
        common::run(&mut Command::new(common::c_program("container")));
    }

    #[test]
    fn fti() {
        common::run(&mut Command::new(common::c_program("fti")));
    }

    #[test]
    fn checkpoint() {
        common::run(&mut Command::new(common::c_program("checkpoint")));
    }

    #[test]
    fn frames() {
        common::run(&mut Command::new(common::c_program("frames")));
    }

    #[test]
    fn log() {
        common::run(&mut Command::new(common::c_program("log")));
    }

    #[test]
    fn inflate() {
        common::run(&mut Command::new(common::c_program("inflate")));
    }

    #[test]
    fn host_environment() {
        common::run(&mut Command::new(common::c_program("host_environment")));
    }
}

/// The reference implementation gives the same answers.
#[test]
fn golden_trace_of_reference() {
    let program = common::c_program_with_reference("golden_trace");
    for args in trace_arguments() {
        common::run(Command::new(&program).args(args));
    }
}

mod valgrind {
    use super::*;

    fn valgrind(program: &Path) -> Command {
        let mut command = Command::new("valgrind");
        command.args([
            "-q",
            "--fair-sched=yes",
            "--error-exitcode=99",
            "--leak-check=full",
            "--show-leak-kinds=definite,indirect,possible",
        ]);
        command.arg(program);
        command
    }

    #[test]
    fn abi() {
        if common::has_program("valgrind") {
            common::run(&mut valgrind(&common::c_program("abi")));
        }
    }

    /// Memory beyond a struct of the caller is not touched.
    #[test]
    fn struct_size() {
        if common::has_program("valgrind") {
            common::run(&mut valgrind(&common::c_program("struct_size")));
        }
    }

    #[test]
    fn container() {
        if common::has_program("valgrind") {
            common::run(&mut valgrind(&common::c_program("container")));
        }
    }

    #[test]
    fn inflate() {
        if common::has_program("valgrind") {
            common::run(&mut valgrind(&common::c_program("inflate")));
        }
    }

    #[test]
    fn fti() {
        if common::has_program("valgrind") {
            common::run(&mut valgrind(&common::c_program("fti")));
        }
    }

    /// One trace of each kind.
    #[test]
    fn golden_trace_samples() {
        let some = ["seq000", "history00", "at-position-100", "mmio-tight-lz4-20", "restore-pipe-partial-then-next"];
        if common::has_program("valgrind") {
            common::run(valgrind(&common::c_program("golden_trace")).arg(common::golden()).args(some));
        }
    }

    /// A minute: `make test-valgrind`.
    #[test]
    #[ignore = "takes a minute: make test-valgrind"]
    fn everything() {
        assert!(common::has_program("valgrind"), "make install-deps installs it");
        for args in trace_arguments() {
            print!("{}", common::run(valgrind(&common::c_program("golden_trace")).args(args)));
        }
        // Not frames: it takes too long, and to valgrind its forked child, where threads are no more, leaks their
        // memory. The sanitizers (`make test-sanitizers`) run it.
        for name in [
            "abi",
            "struct_size",
            "io",
            "corruption",
            "threads",
            "log",
            "host_environment",
            "container",
            "fti",
            "checkpoint",
            "inflate",
        ] {
            print!("{}", common::run(&mut valgrind(&common::c_program(name))));
        }
    }
}
