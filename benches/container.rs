//! What the container costs, beside the figures of the original: `make bench-container`.
//!
//! The original's are constants, measured once on another machine. The first line tells what one copy of the data takes on this
//! one.

use std::fs::File;
use std::hint::black_box;
use std::time::{Duration, Instant};

use fdckpt::Container;

const BIG: usize = 256 << 20;

/// Milliseconds of the original.
const ROUND_TRIP: f64 = 134.0;
const SECTIONS_256: f64 = 0.34;
const PARSE: f64 = 67.0;

/// The middle one of `times` measurements.
fn median(times: usize, mut run: impl FnMut()) -> Duration {
    run();
    let mut all: Vec<Duration> = (0..times)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    all.sort();
    all[times / 2]
}

fn tell(what: &str, took: Duration, original: Option<f64>) {
    let took = took.as_secs_f64() * 1e3;
    match original {
        Some(original) => println!("{what:<66} {took:>11.4} {original:>10.2} {:>9.1}", original / took),
        None => println!("{what:<66} {took:>11.4} {:>10} {:>9}", "-", "-"),
    }
}

fn add(data: &[u8], count: usize) -> Container<'_> {
    let mut container = Container::new();
    for kind in 0..count {
        container.set(kind as u8, data).expect("enough memory");
    }
    container
}

fn main() {
    println!("{:<66} {:>11} {:>10} {:>9}", "", "ms", "original", "times");
    let data: Vec<u8> = (0..BIG as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();

    let copy = median(9, || _ = black_box(data.clone()));
    tell("a copy of 256 MiB to fresh memory", copy, None);

    let mut container = Container::new();
    container.set(7, &data).expect("enough memory");
    let took = median(9, || {
        let file = container.serialize().expect("enough memory");
        let parsed = Container::parse(&file).expect("valid");
        assert_eq!(parsed.get(7).expect("there").len(), BIG);
        black_box(&file);
    });
    tell("serialize to fresh memory, parse, get: one section of 256 MiB", took, Some(ROUND_TRIP));

    let mut memory = vec![1; BIG + 100];
    let took = median(9, || {
        let size = container.serialize_into(&mut memory).expect("enough space");
        let parsed = Container::parse(&memory[..size]).expect("valid");
        assert_eq!(parsed.get(7).expect("there").len(), BIG);
    });
    tell("the same, to memory that is there", took, Some(ROUND_TRIP));

    let size = container.serialize_into(&mut memory).expect("enough space");
    let file = &memory[..size];
    let took = median(999, || _ = black_box(Container::parse(black_box(file)).expect("valid")));
    tell("parse: 256 MiB", took, Some(PARSE));

    let on_disk = tempfile::tempfile().expect("there is a directory for it");
    container.write_to(&on_disk).expect("enough space");
    let open = |file: &File| {
        // SAFETY: no process modifies the file.
        let map = unsafe { memmap2::Mmap::map(file) }.expect("it can be mapped");
        assert_eq!(Container::parse(&map).expect("valid").get(7).expect("there")[BIG - 1], data[BIG - 1]);
    };
    let took = median(99, || open(&on_disk));
    tell("open by memory map, parse, get, touch the last byte: 256 MiB", took, Some(PARSE));

    let small = [3; 1024];
    for count in [64, 128, 256] {
        let took = median(999, || _ = black_box(add(&small, count)));
        tell(&format!("add {count} sections of 1 KiB"), took, None);
    }
    let took = median(999, || {
        let file = add(&small, 256).serialize().expect("enough memory");
        let parsed = Container::parse(&file).expect("valid");
        (0..=255).for_each(|kind| _ = black_box(parsed.get(kind).expect("there")));
    });
    tell("add, serialize, parse, get: 256 sections of 1 KiB", took, Some(SECTIONS_256));

    // A million sections, as a damaged or hostile file can have: 40 MB of metadata.
    let text: String = (0..1_000_000).map(|i| format!("{{\"type\":{},\"offset\":{i},\"length\":0}},", i % 256)).collect();
    let text = format!("{{\"version\":1,\"sections\":[{}]}}", text.trim_end_matches(','));
    let mut many = vec![0; 1_000_000];
    many.extend(text.as_bytes());
    many.extend((text.len() as u32).to_le_bytes());
    many.extend(b"CKPT");
    let took = median(9, || _ = black_box(Container::parse(&many).expect("valid")));
    tell(&format!("parse: a million sections, {} MB of metadata", text.len() / 1_000_000), took, None);
}
