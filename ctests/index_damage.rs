//! Damaged checkpoints: each is noticed, and costs what it hits, nothing else.

mod support;

use std::fs;

use fdckpt::FrameStyle;
use fdckpt::index::{Durability, Failure, Reader, ReaderOptions, WriterOptions, salvage};

/// A checkpoint of regions with these sizes, in turn RAW and LZ4, in small frames.
fn checkpoint(test: &str, sizes: &[usize]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let folder = support::fresh_folder(&format!("index-damage-{test}"));
    let path = folder.join("a");
    let mut writer = WriterOptions::new().durability(Durability::None).frame_size(65_536).create(&path).unwrap();
    writer.attribute("step", b"17").unwrap();
    let mut all = Vec::new();
    for (number, &size) in sizes.iter().enumerate() {
        let data: Vec<u8> = (0..size).map(|at| ((at * at / 7 % 251 * (number + 1)) >> (at % 3)) as u8).collect();
        writer.set_style([FrameStyle::Lz4, FrameStyle::Raw][number / 2 % 2]).unwrap();
        writer.add(&format!("region {number}"), &data).unwrap();
        all.push(data);
    }
    writer.commit().unwrap();
    (fs::read(&path).unwrap(), all)
}

fn open(file: &[u8]) -> Result<Reader<'_>, Failure> {
    ReaderOptions::new().open_bytes(file)
}

/// How many regions can't be read of a damaged file, if it can be opened; the others must be right. Whether anything was noticed at all.
fn look(file: &[u8], regions: &[Vec<u8>]) -> (Option<usize>, bool) {
    let Ok(reader) = open(file) else { return (None, true) };
    let mut lost = 0;
    for (number, data) in regions.iter().enumerate() {
        let name = format!("region {number}");
        let Some(entry) = reader.find(&name) else { panic!("{name} is gone") };
        match reader.read_to_vec(entry.number()) {
            Ok(read) => assert!(read == *data, "wrong data with success"),
            Err(_) => lost += 1,
        }
    }
    let mut told = 0;
    let verdict = reader.verify(&mut |damage| told += usize::from(damage.region.is_some())).unwrap();
    assert_eq!((told as u64, told), (verdict.lost_regions, lost));
    (Some(lost), !verdict.is_sound())
}

#[test]
fn each_bit_of_a_small_file() {
    let (file, regions) = checkpoint("bits", &[60, 5, 0, 40, 1, 33]);
    assert_eq!(look(&file, &regions), (Some(0), false));
    let (mut refused, mut lost) = (0, 0);
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (opened, noticed) = look(&damaged, &regions);
        assert!(noticed, "bit {bit} of {} bytes", file.len());
        match opened {
            None => refused += 1,
            Some(regions) => lost += regions,
        }
    }
    println!("{} bits: {refused} refused when opening, {lost} regions lost in all", file.len() * 8);
    for size in 0..file.len() {
        assert!(open(&file[..size]).is_err(), "{size} of {} bytes", file.len());
    }
}

#[test]
fn what_is_damaged_is_named() {
    let (mut file, _) = checkpoint("named", &[100, 200, 300, 70_000]);
    file[350] ^= 1;
    let reader = open(&file).unwrap();
    for number in [2, 3] {
        let name = format!("region {number}");
        let failure = reader.read_to_vec(number).err();
        let told = failure.as_ref().map(|failure| (failure.name(), failure.frame(), failure.offset()));
        assert_eq!(told, (number == 2).then_some((Some(&name[..]), Some(1), reader.frame(1).map(|frame| frame.offset))));
    }
    let mut told = Vec::new();
    let verdict = reader.verify(&mut |damage| told.extend(damage.region.map(|(number, _)| number))).unwrap();
    assert_eq!((told, verdict.lost_regions, verdict.damaged_frames), (vec![2], 1, 1));
}

/// Without checksums what lies before the damage can be read, whatever was read before.
#[test]
fn what_lies_before_the_damage() {
    let folder = support::fresh_folder("index-damage-before");
    let path = folder.join("a");
    let options = WriterOptions::new().durability(Durability::None).style(FrameStyle::Lz4).checksums(false);
    let mut writer = options.create(&path).unwrap();
    let data: Vec<u8> = (0..250_000usize).map(|at| ((at * at / 7 % 251) >> (at % 3)) as u8).collect();
    for (number, part) in data.chunks(10_000).enumerate() {
        writer.add(&number.to_string(), part).unwrap();
    }
    writer.commit().unwrap();
    let mut file = fs::read(&path).unwrap();
    // The size of the last one of the four chunks.
    let size = |at: usize| 3 + usize::from(file[at]) + (usize::from(file[at + 1]) << 8) + (usize::from(file[at + 2]) << 16);
    let last = (0..3).fold(0, |at, _| at + size(at));
    file[last..last + 3].fill(0);
    let reader = open(&file).unwrap();
    let sound = |number: &usize| reader.read_to_vec(*number).is_ok_and(|read| read == data[number * 10_000..][..10_000]);
    assert!((0..25).filter(sound).eq(0..3 * 65_536 / 10_000));
    fs::write(&path, &file).unwrap();
    let what = salvage(&path, folder.join("b"), WriterOptions::new().durability(Durability::None)).unwrap();
    assert_eq!((what.unverified, what.lost), (19, 6));
}

#[test]
fn random_damage() {
    let count = std::env::var("FDCKPT_INDEX_DAMAGE").map_or(150, |count| count.parse::<u64>().expect("a number"));
    let (file, regions) = checkpoint("random", &[100_000, 3000, 200_000, 10, 70_000, 500, 0, 65_536]);
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut refused, mut confined) = (0, 0);
    for _ in 0..count {
        let mut damaged = file.clone();
        match random(4) {
            0 => damaged[random(file.len())] ^= 1 << random(8),
            1 => (0..1 + random(16)).for_each(|_| damaged[random(file.len())] = random(256) as u8),
            2 => damaged.truncate(random(file.len())),
            _ => {
                let (size, from, to) = (1 + random(5000), random(file.len() - 5000), random(file.len() - 5000));
                damaged.copy_within(from..from + size, to);
            }
        }
        if damaged == file {
            continue;
        }
        let (opened, noticed) = look(&damaged, &regions);
        assert!(noticed);
        match opened {
            None => refused += 1,
            Some(lost) => confined += usize::from(lost < regions.len()),
        }
    }
    println!("{count} damaged: {refused} refused when opening, {confined} with regions that are sound");
    assert!(confined > 0);
}
