//! Who may use which memory, in the order in which they asked.
//!
//! A run asks for all of its buffers at once, before its first kernel. It gets all of them or waits with none, so no two
//! runs wait for each other. Whoever asks later for a buffer that an earlier one waits for comes after it: a loop of
//! readers does not starve a loop of steps, nor the other way round. Those who share no buffer do not wait for each other.
//!
//! On the CPU every buffer has its turn; a GPU is one thing, taken for as long as something is submitted.
//!
//! A thread may wait here only while it holds nothing. The threads that run kernels hold what their run was given, and rayon
//! lets a thread that waits for a part of a loop begin another job of its pool. So kernels have a pool of their own, into
//! which no other work comes ([`crate::CpuDevice`]), and its threads are refused here.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

/// Those who wait, first come first. It guards the counts of every [`Turn`] too: it is held for some additions, never while
/// anything is read, written or run.
static WAITING: Mutex<VecDeque<Arc<Request>>> = Mutex::new(VecDeque::new());

thread_local! {
    static RUNS_KERNELS: Cell<bool> = const { Cell::new(false) };
}

/// Says that this thread runs kernels: it holds what its run was given, so it must not wait for more.
pub(crate) fn this_thread_runs_kernels() {
    RUNS_KERNELS.set(true);
}

/// Takes `holds` for as long as `f` runs on this thread, which is refused more meanwhile.
#[cfg(feature = "gpu")]
pub(crate) fn during<R>(holds: &Holds, f: impl FnOnce() -> R) -> Result<R, Refused> {
    struct End(Option<Grant>);
    impl Drop for End {
        fn drop(&mut self) {
            RUNS_KERNELS.set(false);
            self.0 = None;
        }
    }
    let _end = End(Some(take_torn(holds)?));
    RUNS_KERNELS.set(true);
    Ok(f())
}

/// Does this thread run kernels?
pub(crate) fn runs_kernels() -> bool {
    RUNS_KERNELS.get()
}

/// What one at a time may write, or several read. The counts are read and written under [`WAITING`] alone.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    readers: AtomicU32,
    writers: AtomicU32,
    /// Of those who wait.
    reads_ahead: AtomicU32,
    writes_ahead: AtomicU32,
    /// A run that wrote here panicked.
    torn: AtomicBool,
}

/// One of the things that somebody asks for.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    turn: Arc<Turn>,
    write: bool,
}

impl Hold {
    pub(crate) fn read(turn: &Arc<Turn>) -> Self {
        Self { turn: turn.clone(), write: false }
    }

    pub(crate) fn write(turn: &Arc<Turn>) -> Self {
        Self { turn: turn.clone(), write: true }
    }

    fn is_free(&self) -> bool {
        let none = |count: &AtomicU32| count.load(Ordering::Relaxed) == 0;
        let turn = &*self.turn;
        none(&turn.writers)
            && none(&turn.writes_ahead)
            && (!self.write || none(&turn.readers) && none(&turn.reads_ahead))
    }

    fn count(&self, [readers, writers]: [&AtomicU32; 2], add: u32) {
        (if self.write { writers } else { readers }).fetch_add(add, Ordering::Relaxed);
    }
}

/// Of each thing one hold.
pub(crate) type Holds = Arc<[Hold]>;

struct Request {
    holds: Holds,
    thread: Thread,
    granted: AtomicBool,
}

/// Why something is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This thread runs kernels.
    Inside,
    /// A run that wrote the thing of this number panicked.
    Torn(usize),
}

impl Refused {
    /// The reason; `what` names the thing of a number.
    pub(crate) fn why(self, what: impl FnOnce(usize) -> String) -> String {
        match self {
            Self::Inside => {
                "called from a kernel or from the clock of a run, which holds its buffers: call it after the run".into()
            }
            Self::Torn(i) => format!(
                "a kernel panicked while its run was writing {}: the words are not whole; write all of them, or build \
                 store and program anew",
                what(i)
            ),
        }
    }
}

/// What somebody has, until it is dropped: on any thread.
#[derive(Debug)]
pub(crate) struct Grant {
    holds: Holds,
    panicking: bool,
}

/// Waits for its turn and takes all of `holds`.
pub(crate) fn take(holds: &Holds) -> Result<Grant, Refused> {
    let grant = take_torn(holds)?;
    match holds.iter().position(|hold| hold.turn.torn.load(Ordering::Relaxed)) {
        Some(i) => Err(Refused::Torn(i)),
        None => Ok(grant),
    }
}

/// The same where words that are not whole do no harm.
pub(crate) fn take_torn(holds: &Holds) -> Result<Grant, Refused> {
    if RUNS_KERNELS.get() {
        return Err(Refused::Inside);
    }
    let grant = Grant { holds: holds.clone(), panicking: std::thread::panicking() };
    let request = {
        let mut waiting = waiting();
        if holds.iter().all(Hold::is_free) {
            holds.iter().for_each(|h| h.count([&h.turn.readers, &h.turn.writers], 1));
            return Ok(grant);
        }
        holds.iter().for_each(|h| h.count([&h.turn.reads_ahead, &h.turn.writes_ahead], 1));
        let thread = std::thread::current();
        let request = Arc::new(Request { holds: holds.clone(), thread, granted: AtomicBool::new(false) });
        waiting.push_back(request.clone());
        request
    };
    while !request.granted.load(Ordering::Acquire) {
        std::thread::park();
    }
    Ok(grant)
}

fn waiting() -> MutexGuard<'static, VecDeque<Arc<Request>>> {
    // Nothing under the lock panics; if an allocation did, the counts would be whole all the same.
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Grant {
    /// What was torn is whole again.
    pub(crate) fn mend(&self) {
        self.holds.iter().for_each(|hold| hold.turn.torn.store(false, Ordering::Relaxed));
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let torn = std::thread::panicking() && !self.panicking;
        let mut next = Vec::new();
        let mut waiting = waiting();
        let mut wanted = false;
        for hold in &*self.holds {
            let turn = &*hold.turn;
            hold.count([&turn.readers, &turn.writers], u32::MAX); // one less
            if torn && hold.write {
                turn.torn.store(true, Ordering::Relaxed);
            }
            let some = |count: &AtomicU32| count.load(Ordering::Relaxed) > 0;
            wanted |= some(&turn.reads_ahead) || some(&turn.writes_ahead);
        }
        if wanted {
            // In the order in which they came: each gets what it waits for unless somebody has it or stands before it.
            for hold in waiting.iter().flat_map(|request| &*request.holds) {
                hold.turn.reads_ahead.store(0, Ordering::Relaxed);
                hold.turn.writes_ahead.store(0, Ordering::Relaxed);
            }
            waiting.retain(|request| {
                let free = request.holds.iter().all(Hold::is_free);
                for h in &*request.holds {
                    let turn = &*h.turn;
                    let [has, waits] = [[&turn.readers, &turn.writers], [&turn.reads_ahead, &turn.writes_ahead]];
                    h.count(if free { has } else { waits }, 1);
                }
                if free {
                    next.push(request.clone());
                }
                !free
            });
        }
        drop(waiting);
        for request in next {
            request.granted.store(true, Ordering::Release);
            request.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Who waits for a turn.
    fn count_waiting(turn: &Arc<Turn>) -> usize {
        waiting().iter().filter(|r| r.holds.iter().any(|h| Arc::ptr_eq(&h.turn, turn))).count()
    }

    /// Starts a thread that asks, says its name when it has its turn and then ends; comes back when the thread waits.
    fn ask(name: &'static str, holds: &[Hold], turn: &Arc<Turn>, say: &Sender<&'static str>) {
        let (before, holds, say): (_, Holds, _) = (count_waiting(turn), holds.into(), say.clone());
        std::thread::spawn(move || {
            let _grant = take(&holds).unwrap();
            say.send(name).unwrap();
        });
        while count_waiting(turn) == before {
            std::thread::yield_now();
        }
    }

    #[test]
    fn turns_come_in_the_order_in_which_they_were_asked_for() {
        let turn = Arc::<Turn>::default();
        let (read, write) = (Hold::read(&turn), Hold::write(&turn));
        let (say, hear) = channel();
        let first = take(&[read.clone()].into()).unwrap();
        let second = take(&[read.clone()].into()).unwrap(); // two may read
        ask("writer", std::slice::from_ref(&write), &turn, &say);
        // Readers that come later do not go ahead of the writer, however many there are.
        ask("reader", std::slice::from_ref(&read), &turn, &say);
        ask("next writer", &[write], &turn, &say);
        ask("last", &[read], &turn, &say);
        drop(first);
        assert_eq!(count_waiting(&turn), 4, "one reader still reads");
        drop(second);
        assert_eq!(hear.iter().take(4).collect::<Vec<_>>(), ["writer", "reader", "next writer", "last"]);
        drop(take(&[Hold::write(&turn)].into()).unwrap());
        let counts = [&turn.readers, &turn.writers, &turn.reads_ahead, &turn.writes_ahead];
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 0), "{turn:?}");
    }

    #[test]
    fn whoever_waits_for_one_thing_holds_nothing_else() {
        let [a, b, c] = [(); 3].map(|()| Arc::<Turn>::default());
        let (say, hear) = channel();
        let has_a = take(&[Hold::write(&a)].into()).unwrap();
        ask("a and b", &[Hold::write(&a), Hold::write(&b)], &a, &say);
        // b is free, but its turn is spoken for; c is nobody's.
        ask("b", &[Hold::read(&b)], &b, &say);
        drop(take(&[Hold::write(&c)].into()).unwrap());
        assert!(hear.try_recv().is_err());
        drop(has_a);
        assert_eq!(hear.iter().take(2).collect::<Vec<_>>(), ["a and b", "b"]);
    }

    #[test]
    fn a_panic_marks_what_was_written_and_who_runs_kernels_is_refused() {
        let [read, written] = [(); 2].map(|()| Arc::<Turn>::default());
        let holds: Holds = [Hold::read(&read), Hold::write(&written)].into();
        let grant = take(&holds).unwrap();
        assert!(
            std::thread::spawn(move || {
                let _grant = grant;
                panic!("half-way")
            })
            .join()
            .is_err()
        );
        assert_eq!(take(&holds).unwrap_err(), Refused::Torn(1));
        assert!(take(&[Hold::read(&read)].into()).is_ok());
        take_torn(&holds).unwrap().mend();
        assert!(take(&holds).is_ok());
        let inside = std::thread::spawn(move || {
            this_thread_runs_kernels();
            take(&holds).unwrap_err()
        });
        assert_eq!(inside.join().unwrap(), Refused::Inside);
    }
}
