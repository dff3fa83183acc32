//! Runs the C test suite (`ctests/c_api`) in this process, on the library's code as it is linked into Rust programs.
//!
//! A test program of its own: the C code redirects stderr, sets limits and changes signal handlers, which would disturb
//! other tests.

mod common;

use std::ffi::{CString, c_char, c_int};
use std::sync::{Mutex, PoisonError};

use common::trace_arguments;
use fdckpt as _; // has the functions that the C code calls

type Main = unsafe extern "C" fn(argc: c_int, argv: *mut *mut c_char) -> c_int;

unsafe extern "C" {
    fn golden_trace_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn abi_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn io_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn corruption_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn threads_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn log_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn checkpoint_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn fti_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn frames_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn container_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn inflate_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn struct_size_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn host_environment_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
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

#[test]
fn golden_trace() {
    for args in trace_arguments() {
        call("golden_trace", golden_trace_main, &args.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn abi() {
    call("abi", abi_main, &[]);
}

#[test]
fn io() {
    call("io", io_main, &[]);
}

#[test]
fn corruption() {
    call("corruption", corruption_main, &[]);
}

#[test]
fn threads() {
    call("threads", threads_main, &[]);
}

#[test]
fn log() {
    call("log", log_main, &[]);
}

#[test]
fn container() {
    call("container", container_main, &[]);
}

#[test]
fn inflate() {
    call("inflate", inflate_main, &[]);
}

#[test]
fn checkpoint() {
    call("checkpoint", checkpoint_main, &[]);
}

#[test]
fn fti() {
    call("fti", fti_main, &[]);
}

#[test]
fn frames() {
    call("frames", frames_main, &[]);
}

#[test]
fn struct_size() {
    call("struct_size", struct_size_main, &[]);
}

#[test]
fn host_environment() {
    call("host_environment", host_environment_main, &[]);
}
