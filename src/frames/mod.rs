//! Many frames at a time, encoded and decoded on several threads with the result of one.
//!
//! Threads are started for a call and have ended when it returns. If a thread can't be started, or gets no memory, the others do its
//! work, in the end the calling thread. So neither bytes nor errors depend on the number of threads.

// - `request`: the frames of a call; `batch`: the settings of a call; `error`, `thread_pool`: the other public types.
// - `codec`: one frame, encoded as at its offset in a checkpoint that one handle writes.
// - `plan`: how frames become jobs; `write`, `read`: run them.

mod batch;
pub(crate) mod codec;
mod error;
mod plan;
mod read;
mod request;
mod thread_pool;
mod write;

pub use batch::Frames;
pub use error::FrameError;
pub use request::{Frame, FrameReadRequest};
pub use thread_pool::ThreadPool;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameStyle;

    #[test]
    fn a_checkpoint_is_gone_on_with_by_offset_and_history() {
        // Four letters in any order, where history shows.
        let letters: Vec<u8> = (1..100_000u64).map(|n| b"ACGT"[(n.wrapping_mul(n * 2_654_435_761) >> 33) as usize % 4]).collect();
        let later = [FrameStyle::Raw, FrameStyle::Lz4].map(|style| {
            let (mut one, mut memory, mut other_memory) = (Frames::new(), vec![0; 400_000], vec![0; 400_000]);
            let buffers = [&letters[..]];
            let make = |frames: &mut Frames, style, memory: &mut [u8]| {
                let begin = frames.offset() as usize;
                let end = frames.write_to_slice(&mut [Frame::new(style, &buffers)], memory).unwrap() as usize;
                memory[begin..end].to_vec()
            };
            let first = make(&mut one, style, &mut memory);
            let mut other = Frames::new().threads(2).at(one.offset()).with_history(one.history()).unwrap();
            let second = make(&mut one, FrameStyle::Lz4, &mut memory);
            assert!(make(&mut other, FrameStyle::Lz4, &mut other_memory) == second && !first.is_empty());
            assert_eq!((other.offset(), other.history()), (one.offset(), one.history()));
            second
        });
        assert!(later[0] != later[1], "what was made before shows");
    }
}
