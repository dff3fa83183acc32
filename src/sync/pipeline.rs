//! Jobs that produce bytes on several threads, with the results of one thread: each job's output is consumed, or given
//! its offset, in the order of the jobs.

use std::ops::Deref;

use super::on_drop::OnDrop;
use crate::error_base::{Internal, OutOfMemory};
use crate::sys::cond_mutex::{CondMutex, CondMutexGuard};
use crate::sys::mmap::{AnonymousMap, map_anonymous};
use crate::sys::threads::{resolve_thread_count, scope_with_helpers};

/// The error of a pipeline: that of the lowest job that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobError<E> {
    pub(crate) job: usize,
    pub(crate) error: E,
}

/// The errors of jobs, which can express those of the pipeline itself.
pub(crate) trait PipelineError: Copy + Send + From<OutOfMemory> + From<Internal> {}

impl<E: Copy + Send + From<OutOfMemory> + From<Internal>> PipelineError for E {}

/// A number of jobs, and the resources for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pipeline {
    /// Maximum number of threads, the caller's included; 0 is the default ([`resolve_thread_count`]).
    pub(crate) threads: usize,
    /// Number of jobs.
    pub(crate) jobs: usize,
    /// Size of a job's buffer in bytes: the maximum that a job produces. There are up to three buffers per thread; only
    /// pages that are written to become resident.
    pub(crate) buffer_size: usize,
}

/// What a job has produced.
pub(crate) struct JobOutput<R> {
    /// Number of bytes that it has written to the start of its buffer.
    pub(crate) len: usize,
    /// Any other result.
    pub(crate) result: R,
}

impl Pipeline {
    /// Calls `produce` for each job, on several threads, and `consume` with the number, bytes and result of each, on
    /// this thread, in order.
    ///
    /// Each thread has a worker of its own, which `new_worker` returns. Helpers without one are done without.
    ///
    /// # Errors
    /// The error of the lowest job for which `produce` or `consume` failed. `consume` was called for all lower jobs,
    /// and for no higher one.
    pub(crate) fn run_ordered<W, R: Send, E: PipelineError>(
        &self,
        new_worker: impl Fn() -> Result<W, E> + Sync,
        produce: impl Fn(&mut W, usize, &mut [u8]) -> Result<JobOutput<R>, E> + Sync,
        mut consume: impl FnMut(usize, &[u8], R) -> Result<(), E>,
    ) -> Result<(), JobError<E>> {
        let Some(queue) = JobQueue::<R, (), E>::new(self) else { return Err(JobError { job: 0, error: OutOfMemory.into() }) };
        let mut local_worker = new_worker().map_err(|error| JobError { job: 0, error })?;
        let help = || {
            if let Ok(mut worker) = new_worker() {
                queue.producer_loop(&mut worker, &produce);
            }
        };
        scope_with_helpers(queue.helpers, &help, || {
            let _stop = OnDrop::new(|| queue.stop());
            queue.consumer_loop(&mut local_worker, &produce, &mut consume)
        })
    }

    /// Calls `produce` for each job, on several threads; `place` with the number and output of each, in order; and
    /// `write` with the number, what `place` returned (such as an offset), and the bytes, on several threads, in any
    /// order.
    ///
    /// `place` should be quick: the other threads wait for it.
    ///
    /// # Errors
    /// The error of the lowest job that failed.
    pub(crate) fn run_placed<W, R: Send, P: Send, E: PipelineError>(
        &self,
        new_worker: impl Fn() -> Result<W, E> + Sync,
        produce: impl Fn(&mut W, usize, &mut [u8]) -> Result<JobOutput<R>, E> + Sync,
        place: impl FnMut(usize, &JobOutput<R>) -> Result<P, E> + Send,
        write: impl Fn(usize, P, &[u8]) -> Result<(), E> + Sync,
    ) -> Result<(), JobError<E>> {
        let Some(mut queue) = JobQueue::new(self) else { return Err(JobError { job: 0, error: OutOfMemory.into() }) };
        let local_worker = new_worker().map_err(|error| JobError { job: 0, error })?;
        let place = CondMutex::new(place);
        let work = |mut worker: W| {
            let stop = OnDrop::new(|| queue.stop_after_panic());
            queue.placed_loop(&mut worker, &produce, &place, &write);
            stop.disarm();
        };
        scope_with_helpers(queue.helpers, &|| _ = new_worker().map(work), || work(local_worker));
        let state = queue.state.get_mut();
        match state.failure {
            Some(failure) => Err(failure),
            None if state.finished == queue.jobs => Ok(()),
            None => Err(JobError { job: state.placed, error: OutOfMemory.into() }),
        }
    }
}

/// What the threads of one call share.
struct JobQueue<R, P, E> {
    jobs: usize,
    buffer_size: usize,
    helpers: usize,
    state: CondMutex<State<R, P, E>>,
}

struct State<R, P, E> {
    /// Number of jobs that were started, were placed (or failed before that), and are finished: the lowest jobs each,
    /// except the finished ones of `run_placed`.
    started: usize,
    placed: usize,
    finished: usize,
    /// States of the jobs that are started and not finished: of job n, the one at n modulo the length.
    slots: Vec<JobState<R, P, E>>,
    /// Buffers for reuse.
    free_buffers: Vec<AnonymousMap>,
    /// No more jobs are to be started.
    stop: bool,
    failure: Option<JobError<E>>,
}

enum JobState<R, P, E> {
    Free,
    /// A thread produces or writes its bytes.
    Running,
    Produced(JobOutput<R>, JobBuffer),
    Placed {
        job: usize,
        place: P,
        buffer: JobBuffer,
        len: usize,
    },
    Failed(E),
}

/// The buffer of a job; empty if jobs produce no bytes.
struct JobBuffer(Option<AnonymousMap>);

impl JobBuffer {
    /// `None` if the allocation failed.
    fn new(size: usize) -> Option<Self> {
        if size == 0 { Some(Self(None)) } else { map_anonymous(size).map(|buffer| Self(Some(buffer))) }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl Deref for JobBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<R, P, E: PipelineError> State<R, P, E> {
    fn slot(&mut self, job: usize) -> &mut JobState<R, P, E> {
        let len = self.slots.len();
        &mut self.slots[job % len]
    }

    fn take(&mut self, job: usize) -> JobState<R, P, E> {
        std::mem::replace(self.slot(job), JobState::Free)
    }

    /// Returns whether the next job can be started.
    fn can_start(&mut self, jobs: usize) -> bool {
        let next = self.started;
        !self.stop && next < jobs && matches!(self.slot(next), JobState::Free)
    }

    fn record_failure(&mut self, job: usize, error: E) {
        self.stop = true;
        if self.failure.is_none_or(|other| job < other.job) {
            self.failure = Some(JobError { job, error });
        }
    }
}

impl<R, P, E: PipelineError> JobQueue<R, P, E> {
    /// `None` if the allocation failed.
    fn new(pipeline: &Pipeline) -> Option<Self> {
        let threads = resolve_thread_count(pipeline.threads).min(pipeline.jobs).max(1);
        // Jobs without buffers may run further ahead, so that a thread that is descheduled for a while does not stop
        // the others.
        let len = if pipeline.buffer_size == 0 { 16 } else { 2 } * threads;
        let (mut slots, mut free_buffers) = (Vec::new(), Vec::new());
        slots.try_reserve_exact(len).ok()?;
        slots.resize_with(len, || JobState::Free);
        // All buffers that there can be: one per slot, and one that each thread is about to use.
        free_buffers.try_reserve_exact(len + threads).ok()?;
        let state = State { started: 0, placed: 0, finished: 0, slots, free_buffers, stop: false, failure: None };
        Some(Self { jobs: pipeline.jobs, buffer_size: pipeline.buffer_size, helpers: threads - 1, state: CondMutex::new(state) })
    }

    /// Ends the loops of all threads.
    fn stop(&self) {
        self.state.lock().stop = true;
        self.state.notify_all();
    }

    /// Ends the loops of all threads, which no longer wait for jobs to be placed.
    fn stop_after_panic(&self) {
        let mut state = self.state.lock();
        state.stop = true;
        state.placed = state.started;
        self.state.notify_all();
    }

    /// Returns a buffer, `None` if the allocation failed. Called before a job is started, so that each started job can
    /// be done.
    fn acquire_buffer<'q>(
        &'q self,
        mut state: CondMutexGuard<'q, State<R, P, E>>,
    ) -> (Option<JobBuffer>, CondMutexGuard<'q, State<R, P, E>>) {
        if let Some(buffer) = state.free_buffers.pop() {
            return (Some(JobBuffer(Some(buffer))), state);
        }
        drop(state);
        let buffer = JobBuffer::new(self.buffer_size);
        (buffer, self.state.lock())
    }

    /// Runs `call` for a job without the lock. If it panics, the job fails.
    fn run_unlocked<'q, T>(
        &'q self,
        state: CondMutexGuard<'q, State<R, P, E>>,
        job: usize,
        call: impl FnOnce() -> T,
    ) -> (T, CondMutexGuard<'q, State<R, P, E>>) {
        drop(state);
        let fail = OnDrop::new(|| {
            let mut state = self.state.lock();
            *state.slot(job) = JobState::Failed(Internal.into());
            state.stop = true;
            self.state.notify_all();
        });
        let result = call();
        fail.disarm();
        (result, self.state.lock())
    }

    /// Runs the next job, which can be started.
    fn run_next_job<'q, W>(
        &'q self,
        mut state: CondMutexGuard<'q, State<R, P, E>>,
        mut buffer: JobBuffer,
        worker: &mut W,
        produce: &impl Fn(&mut W, usize, &mut [u8]) -> Result<JobOutput<R>, E>,
    ) -> CondMutexGuard<'q, State<R, P, E>> {
        let job = state.started;
        state.started += 1;
        *state.slot(job) = JobState::Running;
        let (output, mut state) = self.run_unlocked(state, job, || produce(worker, job, buffer.as_mut_slice()));
        *state.slot(job) = match output {
            Ok(output) if output.len <= buffer.len() => JobState::Produced(output, buffer),
            Ok(_) => JobState::Failed(Internal.into()),
            Err(error) => {
                // Later jobs need not be started.
                state.stop = true;
                JobState::Failed(error)
            }
        };
        self.state.notify_all();
        state
    }

    /// The loop of the helpers of `run_ordered`.
    fn producer_loop<W>(&self, worker: &mut W, produce: &impl Fn(&mut W, usize, &mut [u8]) -> Result<JobOutput<R>, E>) {
        let mut state = self.state.lock();
        while !state.stop && state.started < self.jobs {
            if !state.can_start(self.jobs) {
                state.wait();
                continue;
            }
            let buffer;
            (buffer, state) = self.acquire_buffer(state);
            let Some(buffer) = buffer else { return };
            if state.can_start(self.jobs) {
                state = self.run_next_job(state, buffer, worker, produce);
            } else {
                state.free_buffers.extend(buffer.0);
            }
        }
    }

    /// The loop of the caller's thread of `run_ordered`.
    fn consumer_loop<W>(
        &self,
        worker: &mut W,
        produce: &impl Fn(&mut W, usize, &mut [u8]) -> Result<JobOutput<R>, E>,
        consume: &mut impl FnMut(usize, &[u8], R) -> Result<(), E>,
    ) -> Result<(), JobError<E>> {
        let mut state = self.state.lock();
        while state.finished < self.jobs {
            let job = state.finished;
            if let JobState::Failed(error) = *state.slot(job) {
                return Err(JobError { job, error });
            }
            if matches!(state.slot(job), JobState::Produced(..)) {
                let JobState::Produced(output, buffer) = state.take(job) else { continue };
                drop(state);
                consume(job, &buffer[..output.len], output.result).map_err(|error| JobError { job, error })?;
                state = self.state.lock();
                state.free_buffers.extend(buffer.0);
                state.finished += 1;
                self.state.notify_all();
            } else if state.can_start(self.jobs) {
                let buffer;
                (buffer, state) = self.acquire_buffer(state);
                match buffer {
                    Some(buffer) if state.can_start(self.jobs) => state = self.run_next_job(state, buffer, worker, produce),
                    Some(buffer) => state.free_buffers.extend(buffer.0),
                    None if state.started == job => return Err(JobError { job, error: OutOfMemory.into() }),
                    None => {
                        while matches!(state.slot(job), JobState::Running) {
                            state.wait();
                        }
                    }
                }
            } else {
                state.wait();
            }
        }
        Ok(())
    }

    /// The loop of all threads of `run_placed`.
    fn placed_loop<W>(
        &self,
        worker: &mut W,
        produce: &impl Fn(&mut W, usize, &mut [u8]) -> Result<JobOutput<R>, E>,
        place: &CondMutex<impl FnMut(usize, &JobOutput<R>) -> Result<P, E>>,
        write: &impl Fn(usize, P, &[u8]) -> Result<(), E>,
    ) {
        let mut state = self.state.lock();
        loop {
            self.place_ready(&mut state, place);
            let ready = state.slots.iter_mut().find(|slot| matches!(slot, JobState::Placed { .. }));
            if let Some(ready) = ready {
                // The slot is occupied while the bytes are written.
                let running = std::mem::replace(ready, JobState::Running);
                let JobState::Placed { job, place, buffer, len } = running else { continue };
                let result;
                (result, state) = self.run_unlocked(state, job, || write(job, place, &buffer[..len]));
                state.take(job);
                state.free_buffers.extend(buffer.0);
                state.finished += 1;
                if let Err(error) = result {
                    state.record_failure(job, error);
                }
                self.state.notify_all();
            } else if state.can_start(self.jobs) {
                let buffer;
                (buffer, state) = self.acquire_buffer(state);
                match buffer {
                    Some(buffer) if state.can_start(self.jobs) => state = self.run_next_job(state, buffer, worker, produce),
                    Some(buffer) => state.free_buffers.extend(buffer.0),
                    // Other threads may have buffers; if the last one returns here, the call fails.
                    None => return,
                }
            } else if state.placed == state.started && (state.stop || state.started == self.jobs) {
                // Threads that still write need no help.
                return;
            } else {
                state.wait();
            }
        }
    }

    /// Places all jobs that have produced their bytes and follow placed ones only.
    fn place_ready(&self, state: &mut State<R, P, E>, place: &CondMutex<impl FnMut(usize, &JobOutput<R>) -> Result<P, E>>) {
        while state.placed < state.started {
            let job = state.placed;
            let slot = state.slot(job);
            if !matches!(slot, JobState::Produced(..) | JobState::Failed(_)) {
                return;
            }
            let placed = match std::mem::replace(slot, JobState::Free) {
                _ if state.failure.is_some() => None,
                JobState::Produced(output, buffer) => match place.lock()(job, &output) {
                    Ok(place) => Some(JobState::Placed { job, place, buffer, len: output.len }),
                    Err(error) => {
                        state.record_failure(job, error);
                        None
                    }
                },
                JobState::Failed(error) => {
                    state.record_failure(job, error);
                    None
                }
                _ => None,
            };
            state.placed += 1;
            if let Some(placed) = placed {
                *state.slot(job) = placed;
            }
            self.state.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_error::FileError as Error;
    use crate::sync::parallel_for::parallel_for;
    use std::collections::BTreeSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    const CUT: Error = Error::InvalidArgument("on purpose");
    const BAD: Error = Error::Internal;

    fn new_worker() -> Result<(), Error> {
        Ok(())
    }

    /// Job n produces n % 7 bytes, and its number.
    fn produce(_: &mut (), job: usize, buffer: &mut [u8]) -> Result<JobOutput<usize>, Error> {
        let len = job % 7;
        buffer[..len].fill(job as u8);
        Ok(JobOutput { len, result: job })
    }

    fn expected(jobs: usize) -> Vec<u8> {
        (0..jobs).flat_map(|job| std::iter::repeat_n(job as u8, job % 7)).collect()
    }

    fn pipelines() -> impl Iterator<Item = Pipeline> {
        let of = |threads| [0, 1, 2, 3, 5, 30, 500].map(|jobs| Pipeline { threads, jobs, buffer_size: 7 });
        [1, 2, 3, 8].into_iter().flat_map(of)
    }

    #[test]
    fn ordered_consumes_in_order() {
        for pipeline in pipelines() {
            let mut all = Vec::new();
            let consume = |job, bytes: &[u8], result| {
                assert_eq!(job, result);
                all.extend_from_slice(bytes);
                Ok(())
            };
            assert_eq!(pipeline.run_ordered(new_worker, produce, consume), Ok(()));
            assert!(all == expected(pipeline.jobs), "{pipeline:?}");
        }
    }

    #[test]
    fn placed_assigns_places_in_order() {
        for pipeline in pipelines() {
            let (mut next, mut end) = (0, 0);
            let place = |job, output: &JobOutput<usize>| {
                assert!(job == next && job == output.result);
                next += 1;
                end += output.len;
                Ok(end - output.len)
            };
            let all = CondMutex::new(vec![0; expected(pipeline.jobs).len()]);
            let write = |_, at: usize, bytes: &[u8]| {
                all.lock()[at..at + bytes.len()].copy_from_slice(bytes);
                Ok(())
            };
            assert_eq!(pipeline.run_placed(new_worker, produce, place, write), Ok(()));
            assert!(*all.lock() == expected(pipeline.jobs), "{pipeline:?}");
        }
    }

    #[test]
    fn lowest_failure_is_returned_and_nothing_after_it_is_consumed() {
        for pipeline in pipelines().filter(|pipeline| pipeline.jobs == 30) {
            for (produced, consumed) in [(3, 9), (9, 3), (7, 7), (29, 28), (30, 0)] {
                let failing = |worker: &mut (), job, buffer: &mut [u8]| {
                    if job >= produced { Err(BAD) } else { produce(worker, job, buffer) }
                };
                let expected = if produced <= consumed {
                    JobError { job: produced, error: BAD }
                } else {
                    JobError { job: consumed, error: CUT }
                };
                let mut last = 0;
                let consume = |job, _: &[u8], _| {
                    last = job;
                    if job >= consumed { Err(CUT) } else { Ok(()) }
                };
                assert_eq!(pipeline.run_ordered(new_worker, failing, consume), Err(expected));
                assert!(last <= expected.job);

                let done = CondMutex::new(BTreeSet::new());
                let write = |job, _: usize, _: &[u8]| {
                    done.lock().insert(job);
                    if job >= consumed { Err(CUT) } else { Ok(()) }
                };
                let result = pipeline.run_placed(new_worker, failing, |job, _: &JobOutput<usize>| Ok(job), write);
                assert_eq!(result, Err(expected), "{pipeline:?}");
                assert!((0..expected.job).all(|job| done.lock().contains(&job)));
                let place = |job, _: &JobOutput<usize>| if job >= consumed { Err(CUT) } else { Ok(()) };
                assert_eq!(pipeline.run_placed(new_worker, failing, place, |_, (), _| Ok(())), Err(expected));
            }
        }
    }

    #[test]
    fn no_more_jobs_are_started_than_there_are_buffers() {
        let pipeline = Pipeline { threads: 3, jobs: 200, buffer_size: 8 };
        let (started, consumed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = |worker: &mut (), job, buffer: &mut [u8]| {
            started.fetch_add(1, Ordering::SeqCst);
            assert!(started.load(Ordering::SeqCst) - consumed.load(Ordering::SeqCst) <= 6 + 1);
            produce(worker, job, buffer)
        };
        let consume = |_, _: &[u8], _| {
            consumed.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        assert_eq!(pipeline.run_ordered(new_worker, count, consume), Ok(()));
    }

    #[test]
    fn helpers_without_worker_are_done_without() {
        // The caller's worker is the first one.
        let first = AtomicBool::new(true);
        let only_one = || if first.swap(false, Ordering::SeqCst) { Ok(()) } else { Err(Error::OutOfMemory) };
        let pipeline = Pipeline { threads: 4, jobs: 50, buffer_size: 8 };
        assert_eq!(pipeline.run_ordered(only_one, produce, |_, _, _| Ok(())), Ok(()));
        first.store(true, Ordering::SeqCst);
        assert_eq!(pipeline.run_placed(only_one, produce, |_, _| Ok(()), |_, (), _| Ok(())), Ok(()));
        let failed = JobError { job: 0, error: Error::OutOfMemory };
        assert_eq!(pipeline.run_ordered(only_one, produce, |_, _, _| Ok(())), Err(failed));
        let huge = Pipeline { threads: 4, jobs: 50, buffer_size: 1 << 60 };
        assert_eq!(huge.run_ordered(new_worker, produce, |_, _, _| Ok(())), Err(failed));
        assert_eq!(huge.run_placed(new_worker, produce, |_, _| Ok(()), |_, (), _| Ok(())), Err(failed));
    }

    /// Waits until `all` threads have arrived. Returns false if they do not for a long time.
    fn all_arrive(arrived: &CondMutex<usize>, all: usize) -> bool {
        let mut count = arrived.lock();
        *count += 1;
        arrived.notify_all();
        (0..1000).any(|_| {
            *count >= all || {
                count.wait_timeout(Duration::from_millis(20));
                false
            }
        })
    }

    #[test]
    fn as_many_jobs_run_at_a_time_as_there_are_threads() {
        let pipeline = Pipeline { threads: 3, jobs: 3, buffer_size: 7 };
        let counter = || CondMutex::new(0);
        let meet = |counter: &CondMutex<usize>| if all_arrive(counter, 3) { Ok(()) } else { Err(BAD) };
        let (each_one, produced, placed, written) = (counter(), counter(), counter(), counter());
        assert_eq!(parallel_for(3, 3, |_| meet(&each_one)), Ok(()));
        let meet_and_produce =
            |counter, worker: &mut (), job, buffer: &mut [u8]| meet(counter).and_then(|()| produce(worker, job, buffer));
        assert_eq!(
            pipeline.run_ordered(new_worker, |w, job, buffer| meet_and_produce(&produced, w, job, buffer), |_, _, _| Ok(())),
            Ok(())
        );
        let produce_placed = |w: &mut (), job, buffer: &mut [u8]| meet_and_produce(&placed, w, job, buffer);
        assert_eq!(pipeline.run_placed(new_worker, produce_placed, |_, _| Ok(()), |_, (), _| meet(&written)), Ok(()));
    }

    #[test]
    fn uses_no_more_threads_than_requested() {
        for (threads, jobs) in [(1, 9), (2, 9), (3, 9), (9, 2)] {
            let workers = AtomicUsize::new(0);
            let counted = || {
                workers.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            let pipeline = Pipeline { threads, jobs, buffer_size: 8 };
            assert_eq!(pipeline.run_ordered(counted, produce, |_, _, _| Ok(())), Ok(()));
            assert!(workers.swap(0, Ordering::SeqCst) <= threads.min(jobs));
            assert_eq!(pipeline.run_placed(counted, produce, |_, _| Ok(()), |_, (), _| Ok(())), Ok(()));
            assert!(workers.swap(0, Ordering::SeqCst) <= threads.min(jobs));
        }
    }

    #[test]
    fn consumer_without_buffer_waits_for_running_jobs() {
        let pipeline = Pipeline { threads: 2, jobs: 3, buffer_size: 0 };
        let mut queue = JobQueue::<usize, (), Error>::new(&pipeline).unwrap();
        // From here on, allocations fail.
        queue.buffer_size = 1 << 60;
        let state = queue.state.get_mut();
        state.started = 1;
        *state.slot(0) = JobState::Running;
        let other = || {
            // Meanwhile the consumer finds that there is no buffer.
            queue.state.lock().wait_timeout(Duration::from_millis(20));
            let mut buffer = JobBuffer::new(7).unwrap();
            let output = produce(&mut (), 0, buffer.as_mut_slice()).unwrap();
            *queue.state.lock().slot(0) = JobState::Produced(output, buffer);
            queue.state.notify_all();
        };
        let mut consumed = Vec::new();
        let mut consume = |job, _: &[u8], _| {
            consumed.push(job);
            Ok(())
        };
        let result = scope_with_helpers(1, &other, || queue.consumer_loop(&mut (), &produce, &mut consume));
        assert_eq!(result, Ok(()));
        assert_eq!(consumed, [0, 1, 2]);
    }

    #[test]
    fn panic_of_a_helper_ends_the_consumer() {
        let first = AtomicBool::new(true);
        let is_helper = || Ok::<_, Error>(!first.swap(false, Ordering::SeqCst));
        let arrived = CondMutex::new(0);
        let pipeline = Pipeline { threads: 2, jobs: 50, buffer_size: 8 };
        // The caller's thread continues when the helper has started a job.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let produce = |is_helper: &mut bool, _: usize, _: &mut [u8]| {
                assert!(all_arrive(&arrived, 2) && !*is_helper, "on purpose");
                Ok(JobOutput { len: 0, result: () })
            };
            pipeline.run_ordered(is_helper, produce, |_, _, ()| Ok(()))
        }));
        assert!(result.is_err() && !first.into_inner());
    }

    #[test]
    fn panic_in_place_ends_all_threads() {
        let pipeline = Pipeline { threads: 4, jobs: 50, buffer_size: 8 };
        for job in [0, 1, 20] {
            let place = |number, _: &JobOutput<usize>| {
                assert!(number != job, "on purpose");
                Ok(())
            };
            let result = catch_unwind(AssertUnwindSafe(|| pipeline.run_placed(new_worker, produce, place, |_, (), _| Ok(()))));
            assert!(result.is_err());
        }
    }

    #[test]
    fn panic_in_any_stage_ends_all_threads() {
        let pipeline = Pipeline { threads: 4, jobs: 50, buffer_size: 8 };
        let panics = |worker: &mut (), job, buffer: &mut [u8]| {
            assert!(job != 20, "on purpose");
            produce(worker, job, buffer)
        };
        for _ in 0..20 {
            let result = catch_unwind(AssertUnwindSafe(|| pipeline.run_ordered(new_worker, panics, |_, _, _| Ok(()))));
            assert!(!matches!(result, Ok(Ok(()))));
            let result =
                catch_unwind(AssertUnwindSafe(|| pipeline.run_placed(new_worker, panics, |_, _| Ok(()), |_, (), _| Ok(()))));
            assert!(!matches!(result, Ok(Ok(()))));
            let write = |job, (), _: &[u8]| {
                assert!(job != 20, "on purpose");
                Ok(())
            };
            let result = catch_unwind(AssertUnwindSafe(|| pipeline.run_placed(new_worker, produce, |_, _| Ok(()), write)));
            assert!(!matches!(result, Ok(Ok(()))));
        }
    }
}
