//! Corrupt checkpoint files: corruption is noticed, named, and costs only the regions that it hits.

use std::fs;

use crate::common;
use fdckpt::checkpoint::{Error, ErrorKind, Reader, ReaderOptions, SyncMode, WriterOptions, salvage};
use fdckpt::{Container, FrameStyle, Restore};

/// A checkpoint of regions with these sizes, in turn RAW and LZ4, in small frames.
fn checkpoint(test: &str, sizes: &[usize]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let dir = common::temp_dir(&format!("index-damage-{test}"));
    let path = dir.join("a");
    let mut writer = WriterOptions::new().sync(SyncMode::None).frame_size(65_536).create(&path).unwrap();
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

fn open(file: &[u8]) -> Result<Reader<'_>, Error> {
    ReaderOptions::new().open_bytes(file)
}

/// How many regions cannot be read of a corrupt file, if it can be opened; the others must be right. Whether anything
/// was noticed at all.
fn look(file: &[u8], regions: &[Vec<u8>]) -> (Option<usize>, bool) {
    let Ok(reader) = open(file) else { return (None, true) };
    let mut lost = 0;
    for (number, data) in regions.iter().enumerate() {
        let name = format!("region {number}");
        let Some(entry) = reader.find(&name) else { panic!("{name} is gone") };
        match reader.read_index_to_vec(entry.index()) {
            Ok(read) => assert!(read == *data, "wrong data with success"),
            Err(_) => lost += 1,
        }
    }
    let mut told = 0;
    let report = reader.verify(&mut |damage| told += usize::from(damage.region.is_some())).unwrap();
    assert_eq!((told as u64, told), (report.lost_regions, lost));
    (Some(lost), !report.is_intact())
}

#[test]
fn every_flipped_bit_is_noticed() {
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
fn corrupt_regions_are_named() {
    let (mut file, _) = checkpoint("named", &[100, 200, 300, 70_000]);
    file[350] ^= 1;
    let reader = open(&file).unwrap();
    for number in [2, 3] {
        let name = format!("region {number}");
        let failure = reader.read_index_to_vec(number).err();
        let told = failure.as_ref().map(|failure| (failure.name(), failure.frame(), failure.offset()));
        assert_eq!(told, (number == 2).then_some((Some(&name[..]), Some(1), reader.frame(1).map(|frame| frame.offset))));
    }
    let offset = reader.frame(1).map(|frame| frame.offset);
    let mut told = Vec::new();
    let report = reader
        .verify(&mut |damage| told.push((damage.region.map(|(number, _)| number), damage.frame, damage.error.offset())))
        .unwrap();
    assert_eq!(told, [(Some(2), Some(1), offset)]);
    assert_eq!((report.lost_regions, report.corrupt_frames, report.first_offset), (1, 1, offset));
}

/// Without checksums what lies before the damage can be read, whatever was read before.
#[test]
fn regions_before_corruption_are_read() {
    let dir = common::temp_dir("index-damage-before");
    let path = dir.join("a");
    let options = WriterOptions::new().sync(SyncMode::None).style(FrameStyle::Lz4).checksums(false);
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
    let sound = |number: &usize| reader.read_index_to_vec(*number).is_ok_and(|read| read == data[number * 10_000..][..10_000]);
    assert!((0..25).filter(sound).eq(0..3 * 65_536 / 10_000));
    fs::write(&path, &file).unwrap();
    let what = salvage(&path, dir.join("b"), WriterOptions::new().sync(SyncMode::None)).unwrap();
    assert_eq!((what.unverified, what.lost), (19, 6));
    let reader = Reader::open(dir.join("b")).unwrap();
    assert!(reader.regions().all(|entry| entry.name().starts_with("unverified/")));
}

#[test]
fn random_corruption_is_noticed() {
    let count =
        std::env::var("FDCKPT_TEST_CHECKPOINT_CORRUPTION_CASES").map_or(150, |count| count.parse::<u64>().expect("a number"));
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

/// The same file with an edited index of valid checksum. `edit` gets the index without it.
fn with_index(file: &[u8], edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let container = Container::parse(file).unwrap();
    let (frames, index) = (container.get(128).unwrap(), container.get(129).unwrap());
    let mut index = index[..index.len() - 8].to_vec();
    edit(&mut index);
    index.extend(xxhash_rust::xxh3::xxh3_64(&index).to_le_bytes());
    let mut container = Container::new();
    container.set(128, frames).unwrap();
    container.set(129, index).unwrap();
    container.serialize().unwrap()
}

fn put(index: &mut [u8], at: usize, number: usize) {
    index[at..at + 8].copy_from_slice(&(number as u64).to_le_bytes());
}

fn put_short(index: &mut [u8], at: usize, number: usize) {
    index[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes());
}

/// Two frames, one LZ4 and one RAW; four regions, one of them empty; two attributes.
fn small() -> Vec<u8> {
    let path = common::temp_dir("index-damage-small").join("a");
    let options = WriterOptions::new().sync(SyncMode::None).style(FrameStyle::Lz4);
    let mut writer = options.create(&path).unwrap();
    writer.attribute("step", b"17").unwrap();
    writer.attribute("mode", b"fast").unwrap();
    writer.add("one", &[7; 300]).unwrap();
    writer.add("two", b"").unwrap();
    writer.set_style(FrameStyle::Raw).unwrap();
    writer.add("three", &[3; 40]).unwrap();
    writer.add("four", &[4; 10]).unwrap();
    writer.commit().unwrap();
    fs::read(&path).unwrap()
}

/// Impossible values in an index are rejected when the file is opened, with their offset.
#[test]
fn rejects_invalid_index() {
    let file = small();
    let at = open(&file).unwrap().frame(1).map(|frame| frame.offset + frame.stored).unwrap() as usize;
    let first = at - 50;
    // Where the parts of the index are, all of which are known.
    let [frames, regions, slots, names, attributes, end] = [96, 160, 256, 288, 307, 339];
    with_index(&file, |index| {
        assert_eq!(index.len(), end);
        assert_eq!(&index[names..attributes], b"one\0two\0three\0four\0");
    });
    assert!(open(&with_index(&file, |_| ())).is_ok());

    let unknown = |what: &str, edit: &dyn Fn(&mut Vec<u8>)| match open(&with_index(&file, edit))
        .map(drop)
        .map_err(|failure| failure.kind())
    {
        Err(ErrorKind::UnknownFormat(why)) => assert!(why.contains(what), "{why}"),
        other => panic!("{what}: {other:?}"),
    };
    unknown("its index section has no index", &|index| index[0] = b'f');
    unknown("unknown version", &|index| put_short(index, 8, 2));
    unknown("an unknown feature", &|index| put_short(index, 12, 3));
    unknown("an unknown feature", &|index| put(index, 88, 1));

    let refused = |offset: usize, what: &str, edit: &dyn Fn(&mut Vec<u8>)| match open(&with_index(&file, edit))
        .map_err(|failure| failure.kind())
    {
        Err(ErrorKind::Corrupt { offset: told, reason: why }) => {
            assert!(why.contains(what), "{what}: {why}");
            assert_eq!(told as usize - at, offset, "{what}");
        }
        other => panic!("{what}: {other:?}"),
    };
    refused(0, "the index is truncated", &|index| index.truncate(95));
    let what = "differs from the size it states";
    refused(16, what, &|index| index.push(0));
    for (field, number) in [(16, 4), (24, 2), (48, 19), (64, 32), (72, 8)] {
        for other in [number - 1, number + 1, usize::MAX, 1 << 63, 1 << 60] {
            refused(16, what, &|index| put(index, field, other));
        }
    }
    let what = "impossible numbers";
    refused(16, what, &|index| put(index, 40, at + 1));
    refused(16, what, &|index| put(index, 40, 0));
    refused(16, what, &|index| {
        put(index, 72, 16);
        index.splice(names..names, [0; 32]);
    });
    refused(16, what, &|index| {
        put(index, 72, 4);
        index.drain(slots..slots + 16);
    });

    let what = "a frame has an invalid range";
    for field in [0, 8] {
        refused(frames, what, &|index| put(index, frames + field, 0));
        refused(frames + 32, what, &|index| put(index, frames + 32 + field, [first, 300][field / 8]));
        refused(frames + 32, what, &|index| put(index, frames + 32 + field, 0));
    }
    for style in [0, 3, 1 << 32, 1 << 40, (1 << 32) + 1, usize::MAX] {
        refused(frames + 24, "an unknown style", &|index| put(index, frames + 24, style));
        refused(frames + 32 + 24, "an unknown style", &|index| put(index, frames + 32 + 24, style));
    }
    let what = "a RAW frame differs in size";
    refused(frames, what, &|index| put(index, frames + 24, 1));
    refused(frames + 32, what, &|index| put(index, frames + 8, 299));
    refused(frames + 32, what, &|index| put(index, frames + 32 + 8, 351));
    let what = "more data than its stored size";
    refused(frames, what, &|index| put(index, frames + 8, first * 255 + 1));
    refused(frames, what, &|index| put(index, frames + 8, usize::MAX));
    // The most that can be, and one more.
    let large = |size: usize| {
        move |index: &mut Vec<u8>| {
            put(index, frames + 32 + 24, 2);
            [32, frames + 32 + 8, regions + 72].iter().for_each(|&field| put(index, field, 300 + size));
            put(index, 80, size);
        }
    };
    assert!(open(&with_index(&file, large(50 * 255))).is_ok());
    refused(frames + 32, what, &large(50 * 255 + 1));
    let what = "differ from the totals in the index";
    refused(16, what, &|index| put(index, 32, 351));
    refused(16, what, &|index| put(index, 80, 299));
    refused(16, what, &|index| put(index, 80, 301));
    refused(16, what, &|index| {
        put(index, frames + 32, at - 1);
        put(index, frames + 32 + 8, 349);
    });

    let region = |number: usize| regions + 24 * number;
    let what = "a region has an invalid range";
    refused(region(0), what, &|index| put(index, region(0), 351));
    refused(region(2), what, &|index| put(index, region(2), 299));
    refused(region(3), what, &|index| put(index, region(3), usize::MAX));
    let what = "wrong first frame";
    for (number, frame) in [(0, 1), (1, 1), (2, 0), (3, 2), (3, u32::MAX as usize)] {
        refused(region(number), what, &|index| put_short(index, region(number) + 16, frame));
    }
    let what = "an invalid name";
    // Without a NUL at its end, behind the names, before it begins, with a NUL in it, not UTF-8, empty.
    for (number, name_end) in [(1, 4), (1, 5), (1, 2), (3, 20), (0, u32::MAX as usize)] {
        refused(region(number), what, &|index| put_short(index, region(number) + 20, name_end));
    }
    refused(region(0), what, &|index| index[names + 1] = 0);
    refused(region(2), what, &|index| index[names + 9] = 0xff);
    refused(region(1), what, &|index| {
        index[names + 4] = 0;
        put_short(index, region(1) + 20, 5);
    });
    let long = |size: usize| {
        move |index: &mut Vec<u8>| {
            let more = size - 3;
            index.splice(names..names, vec![b'x'; more]);
            put(index, 48, 19 + more);
            [4, 8, 14, 19].iter().enumerate().for_each(|(number, end)| put_short(index, region(number) + 20, end + more));
        }
    };
    let longest = with_index(&file, long(65_535));
    assert_eq!(open(&longest).unwrap().region(0).unwrap().name().len(), 65_535);
    refused(region(0), what, &long(65_536));
    let what = "do not cover their tables";
    refused(regions, what, &|index| put(index, region(3), 349));
    refused(regions, what, &|index| {
        put(index, 48, 20);
        index.insert(attributes, 0);
    });
    let what = "hash table of names is inconsistent";
    for (is_taken, number) in [(true, 0), (false, 1)] {
        refused(regions, what, &|index| {
            let place = (slots..names).step_by(4).find(|&at| (index[at] != 0) == is_taken).unwrap();
            index[place] = number;
        });
    }

    let what = "the attributes are malformed";
    for count in [0, 1, 3, usize::MAX] {
        refused(96, what, &|index| put(index, 56, count));
    }
    // Sizes of key and value, the key, its NUL.
    for (place, byte) in [(0, 0), (0, 5), (3, 1), (4, 3), (7, 1), (8, 0), (8, 0xff), (12, 1)] {
        refused(96, what, &|index| index[attributes + place] = byte);
    }
    refused(96, what, &|index| {
        put(index, 64, 33);
        index.push(0);
    });
    // A key without a byte.
    refused(96, what, &|index| {
        put(index, 64, 28);
        put_short(index, attributes, 0);
        index.drain(attributes + 8..attributes + 12);
    });
}

/// An index with any byte changed and the right checksum: what can be opened can be read, with whatever result, and
/// does no harm.
#[test]
fn every_changed_byte_of_resealed_index() {
    let file = small();
    let size = Container::parse(&file).unwrap().get(129).unwrap().len() - 8;
    let mut opened = 0;
    for (at, bit) in (0..size).flat_map(|at| [(at, 1), (at, 0x80)]) {
        let other = with_index(&file, |index| index[at] ^= bit);
        let Ok(reader) = open(&other) else { continue };
        opened += 1;
        for entry in reader.regions() {
            if let Ok(data) = reader.read_index_to_vec(entry.index()) {
                assert_eq!(data.len() as u64, entry.size());
            }
        }
        for name in ["one", "two", "three", "four", "five"] {
            assert!(reader.find(name).is_none_or(|entry| entry.name() == name));
        }
        reader.verify(&mut |_| ()).unwrap();
    }
    assert!(opened > 64, "checksums can be anything");
}

#[test]
fn index_at_another_offset() {
    let file = small();
    let container = Container::parse(&file).unwrap();
    let (frames, index) = (container.get(128).unwrap(), container.get(129).unwrap());
    let other = vec![0; frames.len()];
    // Something between; something in front; and an index that lies where it says, but of other frames.
    for (sections, offset) in [
        (&[(128, frames), (5, b"x"), (129, index)][..], frames.len() + 1),
        (&[(5, b"x"), (128, frames), (129, index)], frames.len() + 1),
        (&[(5, frames), (129, index), (128, &other)], frames.len()),
    ] {
        let mut container = Container::new();
        sections.iter().for_each(|&(kind, data)| container.set(kind, data).unwrap());
        let file = container.serialize().unwrap();
        match open(&file).map_err(|failure| failure.kind()) {
            Err(ErrorKind::Corrupt { offset: told, reason: what }) => {
                assert!(
                    told as usize == offset && what.contains("the frames and the index do not follow each other"),
                    "{what} at {told}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A frame that cannot be decoded is reported with its offset in the file, as by plain restoring.
#[test]
fn reports_offset_of_corrupt_frame() {
    let path = common::temp_dir("index-damage-where").join("a");
    let options = WriterOptions::new().sync(SyncMode::None).style(FrameStyle::Lz4);
    let mut writer = options.checksums(false).frame_size(65_536).create(&path).unwrap();
    let data: Vec<u8> = (0..3 * 65_536usize).map(|at| ((at * at / 7 % 251) >> (at % 3)) as u8).collect();
    writer.add("a", &data).unwrap();
    writer.commit().unwrap();
    let file = fs::read(&path).unwrap();
    let (begin, end) =
        open(&file).unwrap().frame(2).map(|frame| (frame.offset as usize, (frame.offset + frame.stored) as usize)).unwrap();
    for header in [[0, 0, 0], [1, 0, 0], [0xff; 3], [0, 0, 1]] {
        let mut damaged = file.clone();
        damaged[begin..begin + 3].copy_from_slice(&header);
        let mut restore = Restore::mmio(&damaged[..end]).unwrap();
        let mut to = vec![0; 65_536];
        restore.seek(begin as u64).unwrap();
        restore.open(FrameStyle::Lz4).unwrap();
        let expected = restore.data(&mut to).unwrap_err();
        let failure = open(&damaged).unwrap().read_index_to_vec(0).unwrap_err();
        assert_eq!((failure.kind(), failure.frame()), (expected.into(), Some(2)), "{header:?}");
        assert_eq!(failure.offset(), Some(begin as u64));
    }
    // A frame that continues after its data.
    let longer = with_index(&file, |index| {
        put(index, 24, 2);
        [32, 96 + 32 + 8, 96 + 96].iter().for_each(|&field| put(index, field, 2 * 65_536));
        put(index, 96 + 32, end);
        index.drain(96 + 64..96 + 96);
    });
    let failure = open(&longer).unwrap().read_index_to_vec(0).unwrap_err();
    assert!(failure.to_string().contains("the frame is longer than its data"), "{failure}");
    assert_eq!((failure.offset(), failure.frame()), (Some(begin as u64), Some(1)));
}

/// Who asks for no checksums gets what is there. Verifying looks at them all the same.
#[test]
fn unverified_reads_skip_checksums() {
    let (mut file, mut regions) = checkpoint("unlooked", &[10, 10, 200_000]);
    let place = open(&file).unwrap().frame(2).unwrap().offset as usize + 7;
    file[place] ^= 1;
    regions[2][65_536 + 7] ^= 1;
    let reader = ReaderOptions::new().checksums(false).open_bytes(&file).unwrap();
    assert!(reader.read_index_to_vec(2).unwrap() == regions[2]);
    assert!(reader.map(2).unwrap() == regions[2]);
    let mut part = [0; 10];
    reader.read_range(2, 65_536, &mut part).unwrap();
    assert_eq!(part, regions[2][65_536..65_546]);
    assert_eq!(reader.verify(&mut |_| ()).unwrap().corrupt_frames, 1);
    let reader = ReaderOptions::new().checksums(false).checksums(true).open_bytes(&file).unwrap();
    assert!(reader.read_index_to_vec(2).is_err() && reader.read_range(2, 65_536, &mut part).is_err());
}

/// A region whose frames are of several styles, which this library does not write: as every other.
#[test]
fn region_of_both_styles() {
    let path = common::temp_dir("index-damage-styles").join("a");
    let mut writer = WriterOptions::new().sync(SyncMode::None).frame_size(65_536).create(&path).unwrap();
    let data: Vec<u8> = (0..400_000usize).map(|at| ((at * at / 7 % 251) >> (at % 3)) as u8).collect();
    for (number, part) in data.chunks(100_000).enumerate() {
        writer.set_style([FrameStyle::Lz4, FrameStyle::Raw][number % 2]).unwrap();
        writer.add(&number.to_string(), part).unwrap();
    }
    writer.commit().unwrap();
    let xxh3 = xxhash_rust::xxh3::xxh3_64;
    let sums: Vec<u8> =
        data.chunks(100_000).flat_map(|part| part.chunks(65_536)).flat_map(|part| xxh3(part).to_le_bytes()).collect();
    let file = with_index(&fs::read(&path).unwrap(), |index| {
        [(16, 1), (48, 2), (72, 2)].iter().for_each(|&(field, number)| put(index, field, number));
        index.truncate(96 + 8 * 32);
        index.extend(400_000u64.to_le_bytes());
        index.extend(xxh3(&sums).to_le_bytes());
        index.extend([0, 0, 0, 0, 2, 0, 0, 0]);
        let mut slots = [0; 8];
        slots[4 * (xxh3(b"a") as usize % 2)] = 1;
        index.extend(slots);
        index.extend(b"a\0");
    });
    for checksums in [true, false] {
        let reader = ReaderOptions::new().checksums(checksums).open_bytes(&file).unwrap();
        let number = reader.find("a").unwrap().index();
        assert!(reader.read_index_to_vec(number).unwrap() == data);
        for begin in (0..400_000).step_by(33_333) {
            let mut part = vec![0; (400_000 - begin).min(150_000)];
            reader.read_range(number, begin as u64, &mut part).unwrap();
            assert!(part == data[begin..begin + part.len()], "from {begin} on");
        }
        assert!(reader.verify(&mut |damage| panic!("{damage:?}")).unwrap().is_intact());
    }
}

/// The attributes are kept; of two with one key, which this library does not write, the first, as it is the one that is
/// found. What is called unverified in a file that was not salvaged is as good as anything else.
#[test]
fn salvage_keeps_attributes() {
    let dir = common::temp_dir("index-damage-attributes");
    let (path, to) = (dir.join("a"), dir.join("b"));
    let file = with_index(&small(), |index| {
        let place = index.windows(4).position(|bytes| bytes == b"mode").unwrap();
        index[place..place + 4].copy_from_slice(b"step");
    });
    fs::write(&path, file).unwrap();
    salvage(&path, &to, WriterOptions::new().sync(SyncMode::None)).unwrap();
    let kept: Vec<_> = Reader::open(&to).unwrap().attributes().map(|(key, value)| (key.to_owned(), value.to_vec())).collect();
    assert_eq!(kept, [("step".to_owned(), b"17".to_vec()), ("fdckpt.salvaged".to_owned(), b"verified".to_vec())]);

    let mut writer = WriterOptions::new().sync(SyncMode::None).create(&path).unwrap();
    writer.add("unverified/a", b"12345").unwrap();
    writer.commit().unwrap();
    let what = salvage(&path, &to, WriterOptions::new().sync(SyncMode::None)).unwrap();
    assert_eq!((what.verified, what.unverified), (1, 0));
}
