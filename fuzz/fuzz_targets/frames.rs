//! Many frames at a time on up to four threads: what is made is what one handle makes, by the model; what was tampered with is restored
//! alike on one thread and several, from memory and from a file.
#![no_main]

#[path = "../../tests/frames/model/mod.rs"]
mod model;

use std::io::Write;

use fdckpt::{Frame, FrameReadRequest, FrameStyle, Frames};
use libfuzzer_sys::fuzz_target;
use model::case::{Choices, checkpt_ops};
use model::{OK, Op};

fuzz_target!(init: model::library_driver::silence(), |case: &[u8]| {
    let mut choices = Choices::new(case);
    let (threads, capacity, changes) = (2 + usize::from(choices.byte() % 3), choices.number(), choices.byte() % 4);
    let changes: Vec<(usize, u8)> = (0..changes).map(|_| (choices.number(), choices.byte())).collect();
    let (mut frames, mut model, mut ends) = (Vec::<(FrameStyle, Vec<Vec<u8>>)>::new(), model::Checkpt::new(None), vec![0]);
    for op in checkpt_ops(&mut choices) {
        let answer = model.call(&op);
        if answer.code != OK {
            break;
        }
        match op {
            Op::Open(style) => frames.push((FrameStyle::from_raw(style).unwrap_or_default(), Vec::new())),
            Op::Meta(data) | Op::Data(data) => frames.last_mut().expect("a frame is open").1.push(data),
            Op::Close => ends.push(answer.off),
            _ => {}
        }
    }
    // Those that were closed.
    frames.truncate(ends.len() - 1);
    let mut bytes = model.bytes.clone();
    bytes.truncate(model.closed);

    let slices: Vec<(FrameStyle, Vec<&[u8]>)> =
        frames.iter().map(|(style, buffers)| (*style, buffers.iter().map(Vec::as_slice).collect())).collect();
    let list = || slices.iter().map(|(style, buffers)| Frame::new(*style, buffers)).collect::<Vec<_>>();
    let (mut made, mut region) = (list(), vec![0; Frames::bound(&list()).unwrap() as usize]);
    assert_eq!(Frames::new().threads(threads).write_to_slice(&mut made, &mut region), Ok(bytes.len() as u64));
    assert!(region[..bytes.len()] == bytes);
    assert!(made.iter().zip(ends.windows(2)).all(|(frame, ends)| frame.range() == (ends[0]..ends[1])));
    // Perhaps too little space.
    let (mut one, mut several) = (vec![0; capacity], vec![0; capacity]);
    let by_one = Frames::new().threads(1).write_to_slice(&mut list(), &mut one);
    assert_eq!(Frames::new().threads(threads).write_to_slice(&mut list(), &mut several), by_one);

    let size = bytes.len();
    for (at, change) in changes {
        if size > 0 {
            bytes[at % size] ^= change;
        }
    }
    let mut file = tempfile();
    file.write_all(&bytes).expect("a memory file can be written");
    let mut outcomes = Vec::new();
    for (threads, from_file) in [(1, false), (threads, false), (1, true), (threads, true)] {
        let mut restored: Vec<Vec<Vec<u8>>> =
            frames.iter().map(|(_, buffers)| buffers.iter().map(|buffer| vec![0; buffer.len()]).collect()).collect();
        let mut buffers: Vec<Vec<&mut [u8]>> =
            restored.iter_mut().map(|buffers| buffers.iter_mut().map(Vec::as_mut_slice).collect()).collect();
        let mut wanted: Vec<FrameReadRequest<'_, '_>> = slices
            .iter()
            .zip(&mut buffers)
            .zip(&ends)
            .map(|(((style, _), buffers), &offset)| FrameReadRequest::new(*style, offset, buffers))
            .collect();
        let settings = Frames::new().threads(threads);
        let result =
            if from_file { settings.read_from_file(&mut wanted, &file) } else { settings.read_from_slice(&mut wanted, &bytes) };
        outcomes.push((result, result.is_ok().then_some(restored)));
    }
    assert!(outcomes[0] == outcomes[1] && outcomes[2] == outcomes[3]);
    assert_eq!(outcomes[0].0.map_err(|failed| failed.frame), outcomes[2].0.map_err(|failed| failed.frame));
    assert!(outcomes[0].1 == outcomes[2].1);
});

fn tempfile() -> std::fs::File {
    use std::os::fd::FromRawFd;
    // SAFETY: the name is a C string; the descriptor is new and nobody else's.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(libc::memfd_create(c"frames".as_ptr(), libc::MFD_CLOEXEC)) }.into()
}
