//! Jobs of several threads, whose results are those of one.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error_base::{Internal, OutOfMemory};
use crate::sys::mmap::{AnonymousMap, map_anonymous};
use crate::sys::monitor::{Held, Monitor};
use crate::sys::threads;

/// Why jobs were not all done: the error of the lowest one that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed<E> {
    pub(crate) job: usize,
    pub(crate) error: E,
}

/// What a job can fail with.
pub(crate) trait JobError: Copy + Send + From<OutOfMemory> + From<Internal> {}

impl<E: Copy + Send + From<OutOfMemory> + From<Internal>> JobError for E {}

/// Calls `job` with each number below `jobs`, from the lowest on, on up to `threads` threads (0: as many as are allowed), the caller's among
/// them. Each has a `worker` of its own, say, memory to work with; threads that can't have one are done without, but for the caller's.
///
/// After a failure, jobs that come after the failed one in order of `rank` are not begun any more; those before it are. So what is reported
/// is the failure of the lowest rank there is.
pub(crate) fn each<W, E: JobError>(
    threads: usize,
    jobs: usize,
    rank: impl Fn(usize) -> usize + Sync,
    worker: impl Fn() -> Result<W, E> + Sync,
    job: impl Fn(&mut W, usize) -> Result<(), E> + Sync,
) -> Result<(), Failed<E>> {
    if jobs == 0 {
        return Ok(());
    }
    let (next, lowest, failed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX), Monitor::new(None::<Failed<E>>));
    let work = |mut worker: W| {
        loop {
            // Above `jobs` it grows by one for each thread at most.
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= jobs {
                return;
            }
            if rank(number) > lowest.load(Ordering::Relaxed) {
                continue;
            }
            if let Err(error) = job(&mut worker, number) {
                let this = Failed { job: rank(number), error };
                let mut failed = failed.lock();
                if failed.is_none_or(|other| this.job < other.job) {
                    *failed = Some(this);
                    lowest.store(this.job, Ordering::Relaxed);
                }
            }
        }
    };
    let own = worker().map_err(|error| Failed { job: rank(0), error })?;
    let helpers = threads::number(threads).min(jobs) - 1;
    threads::with_helpers(helpers, &|| _ = worker().map(work), || work(own));
    let mut failed = failed;
    match failed.get_mut().take() {
        None => Ok(()),
        Some(failed) => Err(failed),
    }
}

/// Jobs that each make bytes, which are taken in the order of the jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pipeline {
    /// The most threads at work, the caller's among them; 0: as many as are allowed.
    pub(crate) threads: usize,
    /// How many jobs there are.
    pub(crate) jobs: usize,
    /// How many bytes a job makes at most. Memory for so many is there up to three times for each thread, of which what is
    /// written to is used.
    pub(crate) room: usize,
}

/// What a job made, but for the bytes.
pub(crate) struct Made<R> {
    /// How many of the bytes that it was given it has written.
    pub(crate) len: usize,
    /// Anything else that is to be known.
    pub(crate) result: R,
}

impl Pipeline {
    /// Calls `make` for each job, on several threads, and `take` with what it made, on this one and in order.
    ///
    /// An error is that of the lowest job that failed, in either: for those below it `take` was called, for it and those above it was not,
    /// or it was `take` that failed.
    pub(crate) fn in_order<W, R: Send, E: JobError>(
        &self,
        worker: impl Fn() -> Result<W, E> + Sync,
        make: impl Fn(&mut W, usize, &mut [u8]) -> Result<Made<R>, E> + Sync,
        mut take: impl FnMut(usize, &[u8], R) -> Result<(), E>,
    ) -> Result<(), Failed<E>> {
        let Some(board) = Board::<R, (), E>::new(self) else { return Err(Failed { job: 0, error: OutOfMemory.into() }) };
        let mut own = worker().map_err(|error| Failed { job: 0, error })?;
        let help = || {
            if let Ok(mut worker) = worker() {
                board.make_all(&mut worker, &make);
            }
        };
        threads::with_helpers(board.helpers, &help, || {
            let _end = StopAtEnd(&board);
            board.take_all(&mut own, &make, &mut take)
        })
    }

    /// Calls `make` for each job, on several threads; in order `settle`, with the number of bytes that it made, which says where they go, and is
    /// to be quick, as others wait; and `put` with these and the bytes, on several threads and in any order.
    ///
    /// An error is that of the lowest job that failed.
    pub(crate) fn settled<W, R: Send, P: Send, E: JobError>(
        &self,
        worker: impl Fn() -> Result<W, E> + Sync,
        make: impl Fn(&mut W, usize, &mut [u8]) -> Result<Made<R>, E> + Sync,
        settle: impl FnMut(usize, &Made<R>) -> Result<P, E> + Send,
        put: impl Fn(usize, P, &[u8]) -> Result<(), E> + Sync,
    ) -> Result<(), Failed<E>> {
        let Some(mut board) = Board::new(self) else { return Err(Failed { job: 0, error: OutOfMemory.into() }) };
        let own = worker().map_err(|error| Failed { job: 0, error })?;
        let settle = Monitor::new(settle);
        let work = |mut worker: W| {
            let _end = StopAtPanic(&board);
            board.settle_all(&mut worker, &make, &settle, &put);
        };
        threads::with_helpers(board.helpers, &|| _ = worker().map(work), || work(own));
        let state = board.state.get_mut();
        match state.failed {
            Some(failed) => Err(failed),
            None if state.done == board.jobs => Ok(()),
            None => Err(Failed { job: state.settled, error: OutOfMemory.into() }),
        }
    }
}

/// What the threads of one call share.
struct Board<R, P, E> {
    jobs: usize,
    room: usize,
    helpers: usize,
    state: Monitor<State<R, P, E>>,
}

struct State<R, P, E> {
    /// So many jobs are begun, are settled, and are through.
    begun: usize,
    settled: usize,
    done: usize,
    /// What has become of the jobs that are begun and not through: of job n, in place n modulo the number of places.
    slots: Vec<Slot<R, P, E>>,
    /// Memory that waits to be used again.
    spare: Vec<AnonymousMap>,
    /// Nothing more is to be begun.
    stop: bool,
    failed: Option<Failed<E>>,
}

enum Slot<R, P, E> {
    Free,
    /// A thread is at it.
    Begun,
    Made(Made<R>, Memory),
    Settled(usize, P, Memory, usize),
    Failed(E),
}

/// Memory for what a job makes; none where jobs make no bytes.
struct Memory(Option<AnonymousMap>);

impl Memory {
    fn new(room: usize) -> Option<Self> {
        if room == 0 { Some(Self(None)) } else { map_anonymous(room).map(|memory| Self(Some(memory))) }
    }

    fn room(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<R, P, E: JobError> State<R, P, E> {
    fn slot(&mut self, job: usize) -> &mut Slot<R, P, E> {
        let places = self.slots.len();
        &mut self.slots[job % places]
    }

    fn take(&mut self, job: usize) -> Slot<R, P, E> {
        std::mem::replace(self.slot(job), Slot::Free)
    }

    /// Whether another job can be begun.
    fn can_begin(&mut self, jobs: usize) -> bool {
        let next = self.begun;
        !self.stop && next < jobs && matches!(self.slot(next), Slot::Free)
    }

    fn note(&mut self, job: usize, error: E) {
        self.stop = true;
        if self.failed.is_none_or(|other| job < other.job) {
            self.failed = Some(Failed { job, error });
        }
    }
}

impl<R, P, E: JobError> Board<R, P, E> {
    /// `None` where memory is short.
    fn new(pipeline: &Pipeline) -> Option<Self> {
        let threads = threads::number(pipeline.threads).min(pipeline.jobs).max(1);
        // Jobs that need no memory from here can run further ahead: a thread that the system stops for a while does not stop the others.
        let places = if pipeline.room == 0 { 16 } else { 2 } * threads;
        let (mut slots, mut spare) = (Vec::new(), Vec::new());
        slots.try_reserve_exact(places).ok()?;
        slots.resize_with(places, || Slot::Free);
        // All that there can be: in the places, and one with each thread.
        spare.try_reserve_exact(places + threads).ok()?;
        let state = State { begun: 0, settled: 0, done: 0, slots, spare, stop: false, failed: None };
        Some(Self { jobs: pipeline.jobs, room: pipeline.room, helpers: threads - 1, state: Monitor::new(state) })
    }

    /// Memory for a job, `None` where it is short. It is asked for before a job is begun, so that one that is begun can be done.
    fn memory<'b>(&'b self, mut state: Held<'b, State<R, P, E>>) -> (Option<Memory>, Held<'b, State<R, P, E>>) {
        if let Some(spare) = state.spare.pop() {
            return (Some(Memory(Some(spare))), state);
        }
        drop(state);
        let memory = Memory::new(self.room);
        (memory, self.state.lock())
    }

    /// Does the next job and hands it in. The state is one in which it can be begun.
    fn make_next<'b, W>(
        &'b self,
        mut state: Held<'b, State<R, P, E>>,
        mut memory: Memory,
        worker: &mut W,
        make: &impl Fn(&mut W, usize, &mut [u8]) -> Result<Made<R>, E>,
    ) -> Held<'b, State<R, P, E>> {
        let job = state.begun;
        state.begun += 1;
        *state.slot(job) = Slot::Begun;
        drop(state);
        let begun = Begun { board: self, job };
        let made = make(worker, job, memory.room());
        std::mem::forget(begun);
        let mut state = self.state.lock();
        *state.slot(job) = match made {
            Ok(made) if made.len <= memory.len() => Slot::Made(made, memory),
            Ok(_) => Slot::Failed(Internal.into()),
            Err(error) => {
                // What comes after it need not be begun.
                state.stop = true;
                Slot::Failed(error)
            }
        };
        self.state.tell();
        state
    }

    /// What a helper does where this thread takes.
    fn make_all<W>(&self, worker: &mut W, make: &impl Fn(&mut W, usize, &mut [u8]) -> Result<Made<R>, E>) {
        let mut state = self.state.lock();
        while !state.stop && state.begun < self.jobs {
            if !state.can_begin(self.jobs) {
                state.wait();
                continue;
            }
            let memory;
            (memory, state) = self.memory(state);
            let Some(memory) = memory else { return };
            if state.can_begin(self.jobs) {
                state = self.make_next(state, memory, worker, make);
            } else {
                state.spare.extend(memory.0);
            }
        }
    }

    /// What the thread does that made the call.
    fn take_all<W>(
        &self,
        worker: &mut W,
        make: &impl Fn(&mut W, usize, &mut [u8]) -> Result<Made<R>, E>,
        take: &mut impl FnMut(usize, &[u8], R) -> Result<(), E>,
    ) -> Result<(), Failed<E>> {
        let mut state = self.state.lock();
        while state.done < self.jobs {
            let job = state.done;
            if let Slot::Failed(error) = *state.slot(job) {
                return Err(Failed { job, error });
            }
            if matches!(state.slot(job), Slot::Made(..)) {
                let Slot::Made(made, memory) = state.take(job) else { continue };
                drop(state);
                take(job, &memory[..made.len], made.result).map_err(|error| Failed { job, error })?;
                state = self.state.lock();
                state.spare.extend(memory.0);
                state.done += 1;
                self.state.tell();
            } else if state.can_begin(self.jobs) {
                let memory;
                (memory, state) = self.memory(state);
                match memory {
                    Some(memory) if state.can_begin(self.jobs) => state = self.make_next(state, memory, worker, make),
                    Some(memory) => state.spare.extend(memory.0),
                    None if state.begun == job => return Err(Failed { job, error: OutOfMemory.into() }),
                    None => state.wait_for(job),
                }
            } else {
                state.wait();
            }
        }
        Ok(())
    }

    /// What each thread does where all of them put.
    fn settle_all<W>(
        &self,
        worker: &mut W,
        make: &impl Fn(&mut W, usize, &mut [u8]) -> Result<Made<R>, E>,
        settle: &Monitor<impl FnMut(usize, &Made<R>) -> Result<P, E>>,
        put: &impl Fn(usize, P, &[u8]) -> Result<(), E>,
    ) {
        let mut state = self.state.lock();
        loop {
            self.settle(&mut state, settle);
            let ready = state.slots.iter_mut().find(|slot| matches!(slot, Slot::Settled(..)));
            if let Some(ready) = ready {
                // As long as it is being put, its place is taken.
                let Slot::Settled(job, place, memory, len) = std::mem::replace(ready, Slot::Begun) else { continue };
                drop(state);
                let begun = Begun { board: self, job };
                let result = put(job, place, &memory[..len]);
                std::mem::forget(begun);
                state = self.state.lock();
                state.take(job);
                state.spare.extend(memory.0);
                state.done += 1;
                if let Err(error) = result {
                    state.note(job, error);
                }
                self.state.tell();
            } else if state.can_begin(self.jobs) {
                let memory;
                (memory, state) = self.memory(state);
                match memory {
                    Some(memory) if state.can_begin(self.jobs) => state = self.make_next(state, memory, worker, make),
                    Some(memory) => state.spare.extend(memory.0),
                    // Others are at work, who may get on; the last one who does not ends it.
                    None => return,
                }
            } else if state.settled == state.begun && (state.stop || state.begun == self.jobs) {
                // Whoever puts yet needs no help.
                return;
            } else {
                state.wait();
            }
        }
    }

    /// Settles all jobs that are made and have nothing before them that is not.
    fn settle(&self, state: &mut State<R, P, E>, settle: &Monitor<impl FnMut(usize, &Made<R>) -> Result<P, E>>) {
        while state.settled < state.begun {
            let job = state.settled;
            let slot = state.slot(job);
            if !matches!(slot, Slot::Made(..) | Slot::Failed(_)) {
                return;
            }
            let settled = match std::mem::replace(slot, Slot::Free) {
                _ if state.failed.is_some() => None,
                Slot::Made(made, memory) => match settle.lock()(job, &made) {
                    Ok(place) => Some(Slot::Settled(job, place, memory, made.len)),
                    Err(error) => {
                        state.note(job, error);
                        None
                    }
                },
                Slot::Failed(error) => {
                    state.note(job, error);
                    None
                }
                _ => None,
            };
            state.settled += 1;
            if let Some(settled) = settled {
                *state.slot(job) = settled;
            }
            self.state.tell();
        }
    }
}

impl<R, P, E: JobError> Held<'_, State<R, P, E>> {
    /// Waits until a job is done that is begun.
    fn wait_for(&mut self, job: usize) {
        while matches!(self.slot(job), Slot::Begun) {
            self.wait();
        }
    }
}

/// A job that is begun. Dropped by a panic alone, which is then known to those that wait for the job.
struct Begun<'b, R, P, E: JobError> {
    board: &'b Board<R, P, E>,
    job: usize,
}

impl<R, P, E: JobError> Drop for Begun<'_, R, P, E> {
    fn drop(&mut self) {
        let mut state = self.board.state.lock();
        *state.slot(self.job) = Slot::Failed(Internal.into());
        state.stop = true;
        self.board.state.tell();
    }
}

/// Nobody goes on when the call comes to its end, however it does.
struct StopAtEnd<'b, R, P, E: JobError>(&'b Board<R, P, E>);

impl<R, P, E: JobError> Drop for StopAtEnd<'_, R, P, E> {
    fn drop(&mut self) {
        self.0.state.lock().stop = true;
        self.0.state.tell();
    }
}

/// Nobody goes on when one panics.
struct StopAtPanic<'b, R, P, E: JobError>(&'b Board<R, P, E>);

impl<R, P, E: JobError> Drop for StopAtPanic<'_, R, P, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.state.lock();
            state.stop = true;
            state.settled = state.begun;
            self.0.state.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_error::FileError as Error;
    use std::collections::BTreeSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    const CUT: Error = Error::InvalidArgument("on purpose");
    const BAD: Error = Error::Internal;

    fn worker() -> Result<(), Error> {
        Ok(())
    }

    /// Job n makes n % 7 bytes, and the number.
    fn make(_: &mut (), job: usize, room: &mut [u8]) -> Result<Made<usize>, Error> {
        let len = job % 7;
        room[..len].fill(job as u8);
        Ok(Made { len, result: job })
    }

    fn expected(jobs: usize) -> Vec<u8> {
        (0..jobs).flat_map(|job| std::iter::repeat_n(job as u8, job % 7)).collect()
    }

    fn pipelines() -> impl Iterator<Item = Pipeline> {
        let of = |threads| [0, 1, 2, 3, 5, 30, 500].map(|jobs| Pipeline { threads, jobs, room: 7 });
        [1, 2, 3, 8].into_iter().flat_map(of)
    }

    #[test]
    fn bytes_are_taken_in_order() {
        for pipeline in pipelines() {
            let mut all = Vec::new();
            let take = |job, bytes: &[u8], result| {
                assert_eq!(job, result);
                all.extend_from_slice(bytes);
                Ok(())
            };
            assert_eq!(pipeline.in_order(worker, make, take), Ok(()));
            assert!(all == expected(pipeline.jobs), "{pipeline:?}");
        }
    }

    #[test]
    fn bytes_are_put_where_it_was_settled_in_order() {
        for pipeline in pipelines() {
            let (mut next, mut end) = (0, 0);
            let settle = |job, made: &Made<usize>| {
                assert!(job == next && job == made.result);
                next += 1;
                end += made.len;
                Ok(end - made.len)
            };
            let all = Monitor::new(vec![0; expected(pipeline.jobs).len()]);
            let put = |_, at: usize, bytes: &[u8]| {
                all.lock()[at..at + bytes.len()].copy_from_slice(bytes);
                Ok(())
            };
            assert_eq!(pipeline.settled(worker, make, settle, put), Ok(()));
            assert!(*all.lock() == expected(pipeline.jobs), "{pipeline:?}");
        }
    }

    #[test]
    fn the_lowest_failure_is_reported_and_nothing_is_taken_behind_it() {
        for pipeline in pipelines().filter(|pipeline| pipeline.jobs == 30) {
            for (made, taken) in [(3, 9), (9, 3), (7, 7), (29, 28), (30, 0)] {
                let failing = |worker: &mut (), job, room: &mut [u8]| {
                    if job >= made { Err(BAD) } else { make(worker, job, room) }
                };
                let expected = if made <= taken { Failed { job: made, error: BAD } } else { Failed { job: taken, error: CUT } };
                let mut last = 0;
                let take = |job, _: &[u8], _| {
                    last = job;
                    if job >= taken { Err(CUT) } else { Ok(()) }
                };
                assert_eq!(pipeline.in_order(worker, failing, take), Err(expected));
                assert!(last <= expected.job);

                let done = Monitor::new(BTreeSet::new());
                let put = |job, _: usize, _: &[u8]| {
                    done.lock().insert(job);
                    if job >= taken { Err(CUT) } else { Ok(()) }
                };
                let result = pipeline.settled(worker, failing, |job, _: &Made<usize>| Ok(job), put);
                assert_eq!(result, Err(expected), "{pipeline:?}");
                assert!((0..expected.job).all(|job| done.lock().contains(&job)));
                let settle = |job, _: &Made<usize>| if job >= taken { Err(CUT) } else { Ok(()) };
                assert_eq!(pipeline.settled(worker, failing, settle, |_, (), _| Ok(())), Err(expected));
            }
        }
    }

    #[test]
    fn no_more_is_begun_than_there_is_memory_for() {
        let pipeline = Pipeline { threads: 3, jobs: 200, room: 8 };
        let (begun, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = |worker: &mut (), job, room: &mut [u8]| {
            begun.fetch_add(1, Ordering::SeqCst);
            assert!(begun.load(Ordering::SeqCst) - taken.load(Ordering::SeqCst) <= 6 + 1);
            make(worker, job, room)
        };
        let take = |_, _: &[u8], _| {
            taken.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        assert_eq!(pipeline.in_order(worker, count, take), Ok(()));
    }

    #[test]
    fn threads_without_memory_are_done_without() {
        // The caller's worker is the first one.
        let first = AtomicBool::new(true);
        let only_one = || if first.swap(false, Ordering::SeqCst) { Ok(()) } else { Err(Error::OutOfMemory) };
        let pipeline = Pipeline { threads: 4, jobs: 50, room: 8 };
        assert_eq!(pipeline.in_order(only_one, make, |_, _, _| Ok(())), Ok(()));
        first.store(true, Ordering::SeqCst);
        assert_eq!(pipeline.settled(only_one, make, |_, _| Ok(()), |_, (), _| Ok(())), Ok(()));
        let failed = Failed { job: 0, error: Error::OutOfMemory };
        assert_eq!(pipeline.in_order(only_one, make, |_, _, _| Ok(())), Err(failed));
        let huge = Pipeline { threads: 4, jobs: 50, room: 1 << 60 };
        assert_eq!(huge.in_order(worker, make, |_, _, _| Ok(())), Err(failed));
        assert_eq!(huge.settled(worker, make, |_, _| Ok(()), |_, (), _| Ok(())), Err(failed));
    }

    /// Waits until as many have come here as are to: `false` where they don't, for a long time.
    fn all_come(here: &Monitor<usize>, all: usize) -> bool {
        let mut come = here.lock();
        *come += 1;
        here.tell();
        (0..1000).any(|_| {
            *come >= all || {
                come.wait_at_most(Duration::from_millis(20));
                false
            }
        })
    }

    #[test]
    fn as_many_jobs_at_a_time_as_threads() {
        let pipeline = Pipeline { threads: 3, jobs: 3, room: 7 };
        let here = || Monitor::new(0);
        let meet = |here: &Monitor<usize>| if all_come(here, 3) { Ok(()) } else { Err(BAD) };
        let (each_one, made, settled, put) = (here(), here(), here(), here());
        assert_eq!(each(3, 3, |number| number, worker, |(), _| meet(&each_one)), Ok(()));
        let meet_and_make = |here, worker: &mut (), job, room: &mut [u8]| meet(here).and_then(|()| make(worker, job, room));
        assert_eq!(pipeline.in_order(worker, |w, job, room| meet_and_make(&made, w, job, room), |_, _, _| Ok(())), Ok(()));
        let make_settled = |w: &mut (), job, room: &mut [u8]| meet_and_make(&settled, w, job, room);
        assert_eq!(pipeline.settled(worker, make_settled, |_, _| Ok(()), |_, (), _| meet(&put)), Ok(()));
    }

    #[test]
    fn no_more_threads_than_were_asked_for() {
        for (threads, jobs) in [(1, 9), (2, 9), (3, 9), (9, 2)] {
            let workers = AtomicUsize::new(0);
            let counted = || {
                workers.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            let job = |_: &mut (), _| Ok(());
            assert_eq!(each(threads, jobs, |number| number, counted, job), Ok(()));
            assert!(workers.swap(0, Ordering::SeqCst) <= threads.min(jobs));
            let pipeline = Pipeline { threads, jobs, room: 8 };
            assert_eq!(pipeline.in_order(counted, make, |_, _, _| Ok(())), Ok(()));
            assert!(workers.swap(0, Ordering::SeqCst) <= threads.min(jobs));
            assert_eq!(pipeline.settled(counted, make, |_, _| Ok(()), |_, (), _| Ok(())), Ok(()));
            assert!(workers.swap(0, Ordering::SeqCst) <= threads.min(jobs));
        }
    }

    #[test]
    fn who_gets_no_memory_waits_for_what_others_make_with_theirs() {
        let pipeline = Pipeline { threads: 2, jobs: 3, room: 0 };
        let mut board = Board::<usize, (), Error>::new(&pipeline).unwrap();
        // There is memory for one.
        board.room = 1 << 60;
        let state = board.state.get_mut();
        state.begun = 1;
        *state.slot(0) = Slot::Begun;
        let other = || {
            // Meanwhile the first one finds that there is none.
            board.state.lock().wait_at_most(Duration::from_millis(20));
            let mut memory = Memory::new(7).unwrap();
            let made = make(&mut (), 0, memory.room()).unwrap();
            *board.state.lock().slot(0) = Slot::Made(made, memory);
            board.state.tell();
        };
        let mut taken = Vec::new();
        let mut take = |job, _: &[u8], _| {
            taken.push(job);
            Ok(())
        };
        let result = threads::with_helpers(1, &other, || board.take_all(&mut (), &make, &mut take));
        assert_eq!(result, Ok(()));
        assert_eq!(taken, [0, 1, 2]);
    }

    #[test]
    fn a_panic_of_another_thread_is_noticed() {
        let first = AtomicBool::new(true);
        let is_helper = || Ok::<_, Error>(!first.swap(false, Ordering::SeqCst));
        let came = Monitor::new(0);
        let pipeline = Pipeline { threads: 2, jobs: 50, room: 8 };
        // The one that made the call goes on once the other has begun a job.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let make = |is_helper: &mut bool, _: usize, _: &mut [u8]| {
                assert!(all_come(&came, 2) && !*is_helper, "on purpose");
                Ok(Made { len: 0, result: () })
            };
            pipeline.in_order(is_helper, make, |_, _, ()| Ok(()))
        }));
        assert!(result.is_err() && !first.into_inner());
    }

    #[test]
    fn a_panic_while_others_wait_to_settle_is_noticed() {
        let pipeline = Pipeline { threads: 4, jobs: 50, room: 8 };
        for job in [0, 1, 20] {
            let settle = |number, _: &Made<usize>| {
                assert!(number != job, "on purpose");
                Ok(())
            };
            let result = catch_unwind(AssertUnwindSafe(|| pipeline.settled(worker, make, settle, |_, (), _| Ok(()))));
            assert!(result.is_err());
        }
    }

    #[test]
    fn a_panic_ends_all() {
        let pipeline = Pipeline { threads: 4, jobs: 50, room: 8 };
        let panics = |worker: &mut (), job, room: &mut [u8]| {
            assert!(job != 20, "on purpose");
            make(worker, job, room)
        };
        for _ in 0..20 {
            let result = catch_unwind(AssertUnwindSafe(|| pipeline.in_order(worker, panics, |_, _, _| Ok(()))));
            assert!(!matches!(result, Ok(Ok(()))));
            let result = catch_unwind(AssertUnwindSafe(|| pipeline.settled(worker, panics, |_, _| Ok(()), |_, (), _| Ok(()))));
            assert!(!matches!(result, Ok(Ok(()))));
            let put = |job, (), _: &[u8]| {
                assert!(job != 20, "on purpose");
                Ok(())
            };
            let result = catch_unwind(AssertUnwindSafe(|| pipeline.settled(worker, make, |_, _| Ok(()), put)));
            assert!(!matches!(result, Ok(Ok(()))));
        }
    }

    #[test]
    fn each_reports_the_failure_of_the_lowest_rank() {
        for threads in [1, 2, 8] {
            // From the last job on, and all that are divisible by 3 fail.
            let rank = |number| 99 - number;
            let job = |_: &mut (), number| if number % 3 == 0 { Err(CUT) } else { Ok(()) };
            assert_eq!(each(threads, 100, rank, worker, job), Err(Failed { job: 0, error: CUT }));
            let rank = |number| number;
            assert_eq!(each(threads, 100, rank, worker, job), Err(Failed { job: 0, error: CUT }));
            let late = |_: &mut (), number| if number == 57 || number == 80 { Err(CUT) } else { Ok(()) };
            assert_eq!(each(threads, 100, rank, worker, late), Err(Failed { job: 57, error: CUT }));
            let done = AtomicUsize::new(0);
            let count = |_: &mut (), _| {
                done.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            assert_eq!(each(threads, 100, rank, worker, count), Ok(()));
            assert_eq!(done.swap(0, Ordering::Relaxed), 100);
            // What comes behind a failure is not begun, but for what others are at.
            let count_late = |worker: &mut (), number| count(worker, number).and_then(|()| late(worker, number));
            assert_eq!(each(threads, 100, rank, worker, count_late), Err(Failed { job: 57, error: CUT }));
            assert!(threads > 1 || done.into_inner() == 58);
        }
    }
}
