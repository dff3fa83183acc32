//! Runs the C test suite (`ctests/c`) as programs of their own on the shared library, also under valgrind.

mod support;

use std::path::Path;
use std::process::Command;

use support::trace_arguments;

mod shared_library {
    use super::*;

    #[test]
    fn trace() {
        let program = support::c_program("trace");
        for args in trace_arguments() {
            support::run(Command::new(&program).args(args));
        }
    }

    /// Several threads change nothing.
    #[test]
    fn trace_with_threads() {
        let program = support::c_program("trace");
        for args in trace_arguments() {
            support::run(Command::new(&program).args(args).env("FDCKPT_THREADS", "4"));
        }
    }

    #[test]
    fn contract() {
        support::run(&mut Command::new(support::c_program("contract")));
    }

    #[test]
    fn io() {
        support::run(&mut Command::new(support::c_program("io")));
    }

    #[test]
    fn corrupt() {
        support::run(&mut Command::new(support::c_program("corrupt")));
    }

    #[test]
    fn threads() {
        support::run(&mut Command::new(support::c_program("threads")));
    }

    #[test]
    fn container() {
        support::run(&mut Command::new(support::c_program("container")));
    }

    #[test]
    fn fti() {
        support::run(&mut Command::new(support::c_program("fti")));
    }

    #[test]
    fn checkpoint() {
        support::run(&mut Command::new(support::c_program("checkpoint")));
    }

    #[test]
    fn frames() {
        support::run(&mut Command::new(support::c_program("frames")));
    }

    #[test]
    fn log() {
        support::run(&mut Command::new(support::c_program("log")));
    }

    #[test]
    fn inflate() {
        support::run(&mut Command::new(support::c_program("inflate")));
    }

    #[test]
    fn abi() {
        support::run(&mut Command::new(support::c_program("abi")));
    }

    #[test]
    fn host() {
        support::run(&mut Command::new(support::c_program("host")));
    }
}

/// The library that ours is measured against gives the same answers.
#[test]
fn trace_of_the_twin() {
    let program = support::c_program_of_twin("trace");
    for args in trace_arguments() {
        support::run(Command::new(&program).args(args));
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
    fn contract() {
        if support::have("valgrind") {
            support::run(&mut valgrind(&support::c_program("contract")));
        }
    }

    /// Memory beyond a struct of the caller's is not touched.
    #[test]
    fn abi() {
        if support::have("valgrind") {
            support::run(&mut valgrind(&support::c_program("abi")));
        }
    }

    #[test]
    fn container() {
        if support::have("valgrind") {
            support::run(&mut valgrind(&support::c_program("container")));
        }
    }

    #[test]
    fn inflate() {
        if support::have("valgrind") {
            support::run(&mut valgrind(&support::c_program("inflate")));
        }
    }

    #[test]
    fn fti() {
        if support::have("valgrind") {
            support::run(&mut valgrind(&support::c_program("fti")));
        }
    }

    /// One trace of each kind.
    #[test]
    fn some_traces() {
        let some = ["seq000", "history00", "at-position-100", "mmio-tight-lz4-20", "restore-pipe-partial-then-next"];
        if support::have("valgrind") {
            support::run(valgrind(&support::c_program("trace")).arg(support::golden()).args(some));
        }
    }

    /// A minute: `make valgrind`.
    #[test]
    #[ignore = "takes a minute: make valgrind"]
    fn everything() {
        assert!(support::have("valgrind"), "make deps installs it");
        for args in trace_arguments() {
            print!("{}", support::run(valgrind(&support::c_program("trace")).args(args)));
        }
        // Not frames: it takes too long, and to valgrind its forked child, where threads are no more, leaks their memory. The sanitizers
        // (`make sanitize`) run it.
        for name in ["contract", "io", "corrupt", "threads", "log", "host", "abi", "container", "fti", "checkpoint", "inflate"] {
            print!("{}", support::run(&mut valgrind(&support::c_program(name))));
        }
    }
}
