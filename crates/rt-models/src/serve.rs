//! What requests of many threads share: programs that they take and put back, and things that are made once.
//!
//! No lock is held while a program is compiled or runs, or while a thing is made: a thread of a pool that waits inside of
//! that may begin another request, which would wait for the lock of the first.

use crate::Result;
use rt_tensor::{Device, Program, Store, Tape};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Programs of a GPU that run at a time: while one waits for its answer, another is encoded.
#[cfg(feature = "gpu")]
const ON_GPU: usize = 4;

/// Programs of one tape. They share what they read, the parameters and the data of the store; each has inputs, temporaries and
/// outputs of its own. As many are kept as the device can keep busy. If all of them are taken, a thread waits until one is put
/// back, but a thread of rayon gets one more: below it on its stack may be the request that has one.
pub(crate) struct Programs {
    tape: Tape,
    store: Store,
    most: usize,
    free: Mutex<Free>,
    put_back: Condvar,
}

struct Free {
    programs: Vec<Program>,
    /// Those that are taken too.
    made: usize,
}

impl Programs {
    /// Compiles the first one.
    pub(crate) fn new(tape: Tape, store: &Store) -> Result<Self> {
        let most = match store.device() {
            Device::Cpu(cpu) => cpu.threads(),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => ON_GPU,
        };
        let free = Mutex::new(Free { programs: vec![tape.compile(store)?], made: 1 });
        Ok(Self { tape, store: store.clone(), most, free, put_back: Condvar::new() })
    }

    /// A program that nobody else has until it is put back.
    pub(crate) fn take(&self) -> Result<Taken<'_>> {
        let mut free = self.free();
        loop {
            if let Some(program) = free.programs.pop() {
                return Ok(Taken { of: self, program: Some(program) });
            }
            if free.made < self.most || rayon::current_thread_index().is_some() {
                free.made += 1;
                drop(free);
                // If it cannot be compiled, the empty place is given back.
                let mut taken = Taken { of: self, program: None };
                taken.program = Some(self.tape.compile(&self.store)?);
                return Ok(taken);
            }
            free = self.put_back.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program of [`Programs`], put back when it is dropped.
pub(crate) struct Taken<'a> {
    of: &'a Programs,
    program: Option<Program>,
}

impl Taken<'_> {
    /// Runs `f` with the program.
    pub(crate) fn with<R>(mut self, f: impl FnOnce(&mut Program) -> Result<R>) -> Result<R> {
        match &mut self.program {
            Some(program) => f(program),
            None => unreachable!("`take` gives one that has its program"),
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut free = self.of.free();
        // One that panicked is not used again. Of those that rayon's threads made beyond `most` as many stay as its pool has
        // threads: each of them comes again.
        let pool = rayon::current_thread_index().map_or(0, |_| rayon::current_num_threads());
        let keep = self.of.most.max(pool);
        match self.program.take_if(|_| free.made <= keep && !std::thread::panicking()) {
            Some(program) => free.programs.push(program),
            None => free.made -= 1,
        }
        drop(free);
        self.of.put_back.notify_one();
    }
}

/// Something that follows from the weights, made when it is first asked for and kept until they change.
#[derive(Debug)]
pub(crate) struct Kept<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    /// How often the weights have changed.
    changes: u64,
    kept: Option<Arc<T>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(State { changes: 0, kept: None }))
    }
}

impl<T> Kept<T> {
    /// What is kept, or what `make` gives. Of several that make it at once all get the first that is done. What was made
    /// of weights that have changed meanwhile is not kept.
    pub(crate) fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let changes = {
            let state = self.state();
            if let Some(kept) = &state.kept {
                return Ok(kept.clone());
            }
            state.changes
        };
        let made = Arc::new(make()?);
        let mut state = self.state();
        if state.changes != changes {
            return Ok(made);
        }
        Ok(state.kept.get_or_insert(made).clone())
    }

    /// The weights have changed.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.changes += 1;
        state.kept = None;
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_of_old_weights_is_not_kept() {
        let kept = Kept::default();
        let old = kept.get(|| {
            kept.forget();
            Ok(1)
        });
        assert_eq!(*old.unwrap(), 1);
        assert_eq!(*kept.get(|| Ok(2)).unwrap(), 2);
        assert_eq!(*kept.get(|| Ok(3)).unwrap(), 2);
    }

    #[test]
    fn the_first_that_is_made_is_kept_and_all_get_it() {
        let kept = Kept::default();
        let late = kept.get(|| {
            assert_eq!(*kept.get(|| Ok(1)).unwrap(), 1, "made meanwhile: no lock is held");
            Ok(2)
        });
        assert_eq!(*late.unwrap(), 1);
    }
}
