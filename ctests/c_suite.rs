//! Runs the C test suite (`ctests/c`): in this process on the library's code as it is linked into Rust programs, and as
//! programs of their own on the shared library, also under valgrind.

mod support;

use std::ffi::{CString, c_char, c_int};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use fdckpt as _; // has the functions that the C code calls

type Main = unsafe extern "C" fn(argc: c_int, argv: *mut *mut c_char) -> c_int;

unsafe extern "C" {
    fn trace_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn contract_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn io_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn corrupt_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn threads_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn log_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
}

/// The programs redirect the log, change signal handlers and so on: one at a time.
static PROCESS: Mutex<()> = Mutex::new(());

fn call(name: &str, main: Main, args: &[&str]) {
    let args: Vec<CString> = std::iter::once(&name).chain(args).map(|&arg| CString::new(arg).unwrap()).collect();
    let mut argv: Vec<*mut c_char> = args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
    argv.push(std::ptr::null_mut());
    let _alone = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the arguments are as C programs get them, and outlive the call.
    let code = unsafe { main(args.len() as c_int, argv.as_mut_ptr()) };
    assert_eq!(code, 0, "{name} failed, see above for what");
}

fn golden() -> String {
    support::root().join("ctests/golden/fd_checkpt").display().to_string()
}

/// Each golden trace as it is, then those that can be replayed in other modes in each of them.
fn trace_arguments() -> Vec<Vec<String>> {
    let mut all = vec![vec![golden()]];
    for checkpt in ["stream", "mmio", "pipe"] {
        for restore in ["stream", "mmio", "pipe"] {
            all.push([&golden(), "--checkpt", checkpt, "--restore", restore].map(str::to_owned).to_vec());
        }
    }
    all
}

mod in_process {
    use super::*;

    #[test]
    fn trace() {
        for args in trace_arguments() {
            call("trace", trace_main, &args.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    #[test]
    fn contract() {
        call("contract", contract_main, &[]);
    }

    #[test]
    fn io() {
        call("io", io_main, &[]);
    }

    #[test]
    fn corrupt() {
        call("corrupt", corrupt_main, &[]);
    }

    #[test]
    fn threads() {
        call("threads", threads_main, &[]);
    }

    #[test]
    fn log() {
        call("log", log_main, &[]);
    }
}

mod shared_library {
    use super::*;

    #[test]
    fn trace() {
        let program = support::c_program("trace");
        for args in trace_arguments() {
            support::run(Command::new(&program).args(args));
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
    fn log() {
        support::run(&mut Command::new(support::c_program("log")));
    }
}

mod valgrind {
    use super::*;

    fn valgrind(program: &Path) -> Command {
        let mut command = Command::new("valgrind");
        command.args(["-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible"]);
        command.arg(program);
        command
    }

    #[test]
    fn contract() {
        if support::have("valgrind") {
            support::run(&mut valgrind(&support::c_program("contract")));
        }
    }

    /// One trace of each kind.
    #[test]
    fn some_traces() {
        let some = ["seq000", "history00", "at-position-100", "mmio-tight-lz4-20", "restore-pipe-partial-then-next"];
        if support::have("valgrind") {
            support::run(valgrind(&support::c_program("trace")).arg(golden()).args(some));
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
        for name in ["contract", "io", "corrupt", "threads", "log"] {
            print!("{}", support::run(&mut valgrind(&support::c_program(name))));
        }
    }
}
