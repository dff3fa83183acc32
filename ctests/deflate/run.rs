//! Runs a decompressor over a stream, in one go and in pieces with checkpoints between them.

use fdckpt::Error;
use fdckpt::inflate::{Form, Format, Inflate, Status};

use super::Random;

/// What became of a stream: the output, how much input was taken, and the end or the error; `None` if the input ended before.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub output: Vec<u8>,
    pub taken: u64,
    pub result: Option<Result<(), Error>>,
}

/// Goes on with `inflate` to the end of `input`, with buffers of `size` bytes.
pub fn go_on(inflate: &mut Inflate, mut input: &[u8], size: usize) -> Outcome {
    let mut output = Vec::new();
    let mut buffer = vec![0; size];
    loop {
        let progress = inflate.decompress(input, &mut buffer);
        output.extend(&buffer[..progress.produced]);
        input = &input[progress.consumed..];
        let result = match progress.result {
            Ok(Status::NeedsOutput) => continue,
            Ok(Status::NeedsInput) => {
                assert!(input.is_empty(), "all of it is taken");
                None
            }
            Ok(Status::Done) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        return Outcome { output, taken: inflate.total_in(), result };
    }
}

pub fn in_one_go(format: Format, stream: &[u8]) -> Outcome {
    let size = 4 * stream.len() + (1 << 17);
    go_on(&mut Inflate::new(format).expect("there is memory"), stream, size)
}

/// Decompresses in random pieces of input and output, and after some of them goes on from a checkpoint in a new decompressor: all forms
/// that there are for the format. `size` is about how much output there is; large streams don't go in small pieces only.
pub fn in_pieces(format: Format, stream: &[u8], random: &mut Random, checkpoint_once_in: usize, size: usize) -> Outcome {
    let mut inflate = Inflate::new(format).expect("there is memory");
    let mut output: Vec<u8> = Vec::new();
    let mut at = 0;
    let most_in = (1 << random.below(15)).max(stream.len() / 60);
    let most_out = (1 << random.below(19)).max(size / 60);
    let mut buffer = vec![0; most_out + 1];
    loop {
        let small = random.once_in(4);
        let end = stream.len().min(at + random.below(if small { 4 } else { most_in + 2 }));
        let room = random.below(if small { 4 } else { most_out + 1 });
        let progress = inflate.decompress(&stream[at..end], &mut buffer[..room]);
        output.extend(&buffer[..progress.produced]);
        at += progress.consumed;
        assert_eq!((inflate.total_in(), inflate.total_out()), (at as u64, output.len() as u64));
        let result = match progress.result {
            Ok(Status::Done) if at == stream.len() || at < end => Some(Ok(())),
            Ok(Status::NeedsInput) if at == stream.len() => None,
            Ok(_) => {
                if random.once_in(checkpoint_once_in) {
                    let wrapped = matches!(format, Format::Zlib | Format::Gzip);
                    let forms = [Form::Full, Form::Compact, Form::Blob, Form::Blob0x1001];
                    let form = forms[random.below(if wrapped { 2 } else { 4 })];
                    let (checkpoint, position) = inflate.checkpoint(form).expect("there has been no error");
                    assert!(checkpoint.len() <= inflate.checkpoint_bound(form));
                    assert_eq!(position.output, output.len() as u64);
                    inflate = Inflate::new(format).expect("there is memory");
                    assert_eq!(inflate.restore(&checkpoint), Ok(position), "{form:?}");
                    if matches!(form, Form::Full) {
                        assert_eq!(inflate.checkpoint(form), Ok((checkpoint, position)), "the same again");
                    }
                    assert!(matches!(form, Form::Blob | Form::Blob0x1001) || position.input == at as u64);
                    at = position.input as usize;
                }
                continue;
            }
            Err(error) => {
                assert_eq!(inflate.checkpoint(Form::Full), Err(Error::Failed));
                Some(Err(error))
            }
        };
        return Outcome { output, taken: inflate.total_in(), result };
    }
}
