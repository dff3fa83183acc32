//! `examples/inflate_resume.c`, killed at random again and again, completes with the right output.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common;
use crate::deflate::{Random, random_stream};

#[test]
fn example_survives_random_kills() {
    let dir = common::temp_dir("inflate-resume");
    let program = common::example("inflate_resume");

    let mut random = Random(9);
    let (stream64, plain64) = random_stream(1, true, 100);
    let (mut gzip, mut plain) = (Vec::new(), Vec::new());
    for seed in 0..8 {
        let (stream, part) = random_stream(seed, false, 30);
        gzip.extend([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3, b'n', 0]);
        gzip.extend(stream);
        gzip.extend(crc32fast::hash(&part).to_le_bytes());
        gzip.extend((part.len() as u32).to_le_bytes());
        plain.extend(part);
    }
    gzip.extend(b"what follows is no member");
    for (format, input, plain) in [("deflate64", stream64, plain64), ("gzip", gzip, plain)] {
        let [from, to, state] = ["in", "out", "state"].map(|name| dir.join(format!("{format}.{name}")));
        fs::write(&from, &input).unwrap();
        // Some longer file was there before.
        fs::write(&to, vec![0xee; plain.len() + 1000]).unwrap();
        let every = (plain.len() / 60).to_string();
        let (mut kills, mut resumed) = (0, 0);
        loop {
            let mut command = Command::new(&program);
            command.arg(format).args([&from, &to, &state]).env("INFLATE_RESUME_EVERY", &every);
            let inode = || fs::metadata(&state).map(|state| state.ino()).ok();
            let before = inode();
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            // Mostly it gets at least one checkpoint further, so that there is an end.
            while !random.once_in(2000) && inode() == before && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(20));
            }
            std::thread::sleep(Duration::from_micros(random.next() % 3000));
            // SIGKILL, unless it was done before.
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            if output.status.success() {
                resumed += u32::from(before.is_some());
                break;
            }
            assert_eq!(output.status.code(), None, "it was killed, and did not fail");
            kills += 1;
            resumed += u32::from(before.is_some());
            assert!(kills < 2000, "it gets ahead");
        }
        assert!(fs::read(&to).unwrap() == plain, "{format} after {kills} kills");
        assert!(!state.exists());
        println!("{format}: {} bytes, killed {kills} times, went on from a checkpoint {resumed} times", plain.len());
        assert!(kills > 0 && resumed > 0, "{kills} {resumed}");
    }
}
