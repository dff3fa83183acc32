//! Compares all modes of the library with each other and with the model. Panics at the first difference.

use super::case::{Choices, arbitrary_restore_ops, checkpt_ops};
use super::library_driver::{BUFFER_MIN, Bench};
use super::{Answer, Checkpt, From, OK, Op, Restore};

fn model_checkpt(ops: &[Op], room: Option<usize>) -> (Vec<Answer>, Vec<u8>) {
    let mut model = Checkpt::new(room);
    let answers = ops.iter().map(|op| model.call(op)).collect();
    let mut bytes = std::mem::take(&mut model.bytes);
    bytes.truncate(model.closed);
    (answers, bytes)
}

fn assert_same<T: PartialEq>(ours: &T, model: &T, what: &str, ops: &[Op], show: impl Fn(&T) -> String) {
    if ours != model {
        panic!("{what} differs\nours:  {}\nmodel: {}\ncalls: {}", show(ours), show(model), list(ops));
    }
}

fn list(ops: &[Op]) -> String {
    let short = |op: &Op| match op {
        Op::Meta(data) => format!("Meta({})", data.len()),
        Op::Data(data) => format!("Data({})", data.len()),
        other => format!("{other:?}"),
    };
    ops.iter().map(short).collect::<Vec<_>>().join(" ")
}

fn codes(answers: &[Answer]) -> String {
    answers.iter().map(|answer| format!("{}/{}", answer.code, answer.off)).collect::<Vec<_>>().join(" ")
}

/// One checkpoint, made in every mode and restored in every mode. With `pipes`, also through pipes, which takes
/// threads.
pub fn round_trip(bench: &mut Bench, case: &[u8], pipes: bool) {
    let mut choices = Choices::new(case);
    let (room, buffer_size) = (choices.number(), BUFFER_MIN + choices.number() % (3 * BUFFER_MIN));
    let ops = checkpt_ops(&mut choices);

    let model = model_checkpt(&ops, None);
    let show = |made: &(Vec<Answer>, Vec<u8>)| format!("{} ({} bytes)", codes(&made.0), made.1.len());
    let most = 100
        + ops
            .iter()
            .map(|op| if let Op::Meta(data) | Op::Data(data) = op { data.len() + data.len() / 200 + 1_000 } else { 0 })
            .sum::<usize>();
    assert_same(&bench.write_to_file(&ops, buffer_size), &model, "file", &ops, show);
    assert_same(&bench.checkpt_region(&ops, most), &model, "region", &ops, show);
    if pipes {
        assert_same(&bench.checkpt_pipe(&ops, buffer_size), &model, "pipe", &ops, show);
    }
    // A region that may be too small.
    assert_same(&bench.checkpt_region(&ops, room), &model_checkpt(&ops, Some(room)), "small region", &ops, show);

    // What was made is restored as long as all went well.
    let good = model.0.iter().take_while(|answer| answer.code == OK).count();
    let whole = ops[..good].iter().rposition(|op| matches!(op, Op::Close)).map_or(0, |last| last + 1);
    let made = &ops[..whole];
    for from in [From::File, From::Region, From::Pipe] {
        if from == From::Pipe && !pipes {
            continue;
        }
        let restored = bench.restore(made, &model.1, from, buffer_size);
        for ((op, answer), made) in made.iter().zip(&restored).zip(&model.0) {
            let right = answer.code == OK && answer.off == made.off;
            let same = match op {
                Op::Meta(data) | Op::Data(data) => answer.data.as_ref() == Some(data),
                _ => true,
            };
            assert!(right && same, "restored from {from:?}: {op:?} gave {}\ncalls: {}", answer.code, list(&ops));
        }
    }
}

/// Arbitrary bytes are restored by arbitrary calls, in every mode. They may be a checkpoint that was tampered with.
pub fn restore_anything(bench: &mut Bench, case: &[u8], pipes: bool) {
    let mut choices = Choices::new(case);
    let buffer_size = BUFFER_MIN + usize::from(choices.byte());
    let tampered = choices.byte().is_multiple_of(2);
    let (ops, bytes) = if tampered {
        let changes: Vec<(usize, u8)> = (0..choices.byte() % 4).map(|_| (choices.number(), choices.byte())).collect();
        let cut = choices.byte();
        let made = checkpt_ops(&mut choices);
        let (answers, mut bytes) = model_checkpt(&made, None);
        for (at, change) in changes {
            let size = bytes.len();
            if size > 0 {
                bytes[at % size] ^= change;
            }
        }
        if cut >= 128 {
            bytes.truncate(bytes.len() * usize::from(cut - 128) / 128);
        }
        let good = answers.iter().take_while(|answer| answer.code == OK).count();
        (made[..good].to_vec(), bytes)
    } else {
        let ops = arbitrary_restore_ops(&mut choices);
        (ops, choices.rest().to_vec())
    };
    for from in [From::File, From::Region, From::Pipe] {
        if from == From::Pipe && !pipes {
            continue;
        }
        let mut model = Restore::new(&bytes, from);
        let expected: Vec<Answer> = ops.iter().map(|op| model.call(op)).collect();
        let ours = bench.restore(&ops, &bytes, from, buffer_size);
        assert_same(&ours, &expected, &format!("restoring from {from:?}"), &ops, |answers| codes(answers));
    }
}

/// The first byte chooses one of the two above; always through pipes too.
pub fn all_modes(bench: &mut Bench, case: &[u8]) {
    match case.split_first() {
        Some((choice, case)) if choice % 2 == 0 => round_trip(bench, case, true),
        Some((_, case)) => restore_anything(bench, case, true),
        None => {}
    }
}
