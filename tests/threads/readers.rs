//! Readers, writers and other programs on the buffers of a training loop.

use super::{ends, inside};
use rayon::prelude::*;
use rt_kernels::{
    Buffer, Call, Cost, CpuIo, Dispatch, Dtype, Kernel, Operand, Operands, Program, Signature, Slot, kernels,
};
use rt_models::Device;
use rt_tensor::{Activation, Init, Optimizer, Step, Store, Tape};
use rt_tests::{devices, ids};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const ROWS: usize = 3000;
const DIM: usize = 32;
const BATCH: usize = 64;

/// A table and a matrix; what they make of some items.
fn forward(tape: &mut Tape) -> rt_tensor::Var {
    let table = tape.table("table", ROWS, DIM, Init::Normal(0.3)).unwrap();
    let items = tape.input_ids("items", BATCH, 1);
    let rows = tape.gather(table, items).unwrap();
    let weights = tape.param("w", [DIM, DIM], Init::Uniform(0.5)).unwrap();
    tape.linear(rows, weights, None, None, Activation::Relu).unwrap()
}

fn training() -> Tape {
    let mut tape = Tape::new();
    let h = forward(&mut tape);
    let z = tape.group_dot(h, h, 1.0).unwrap();
    let weight = tape.constant(&[1.0; BATCH], BATCH, 1).unwrap();
    let rows = tape.bce_with_logits(z, weight, None).unwrap();
    let loss = tape.sum(rows).unwrap();
    tape.output("loss", loss);
    tape.backward(loss).unwrap();
    tape.optimize(&Optimizer::adam()).unwrap();
    tape
}

/// Trains `steps` steps; gives the parameters' bits.
fn train(device: &Device, store: &Store, steps: u32) -> Vec<Vec<u32>> {
    let mut program = training().compile(store).unwrap();
    for step in 1..=steps {
        program.write_u32("items", &ids(BATCH, ROWS as u32, step.into())).unwrap();
        let step = Optimizer::adam().rates(Step::new(step, 7, 0, BATCH as u32), 0.01, 0.01);
        program.run(&step).unwrap_or_else(|e| panic!("{device:?}: a step fails because others read: {e}"));
    }
    bits(store)
}

fn bits(store: &Store) -> Vec<Vec<u32>> {
    ["table", "w"].map(|name| store.get(name).unwrap().into_iter().map(f32::to_bits).collect()).to_vec()
}

#[test]
fn readers_break_no_step_and_starve_nobody() {
    for device in devices() {
        let steps = if matches!(device, Device::Cpu(_)) { 300 } else { 30 };
        let tape = training();
        let alone = train(device, &Store::new(device, tape.params(), 7).unwrap(), steps);
        let store = Store::new(device, tape.params(), 7).unwrap();
        let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
        ends("steps and readers", || {
            std::thread::scope(|scope| {
                for name in ["table", "w", "table"] {
                    let (store, done, reads) = (&store, &done, &reads);
                    scope.spawn(move || {
                        while !done.load(Ordering::Acquire) {
                            assert!(store.get(name).unwrap().iter().all(|x| x.is_finite()));
                            reads.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                // Another program that reads what the steps write, and puts of data beside them.
                scope.spawn(|| {
                    let mut tape = Tape::with_params(training().params().clone());
                    let h = forward(&mut tape);
                    tape.output("h", h);
                    let mut program = tape.compile(&store).unwrap();
                    while !done.load(Ordering::Acquire) {
                        program.write_u32("items", &ids(BATCH, ROWS as u32, 3)).unwrap();
                        program.run(&Step::new(1, 0, 0, BATCH as u32)).unwrap();
                        assert!(program.read_f32("h").unwrap().iter().all(|x| x.is_finite()));
                        store.put_u32("beside", &[1, 2, 3]).unwrap();
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                });
                let among = catch_unwind(AssertUnwindSafe(|| train(device, &store, steps)));
                done.store(true, Ordering::Release);
                assert_eq!(among.expect("every step"), alone, "{device:?}: the bits of a training that nobody watched");
            });
        });
        assert!(reads.load(Ordering::Relaxed) > 0, "{device:?}");
    }
}

/// A step adds the same to a table's row and to a matrix: whoever reads both in one run finds them equal.
#[test]
fn another_program_sees_whole_steps() {
    let steps = 200;
    let both = |tape: &mut Tape| {
        let table = tape.table("t", ROWS, 4, Init::Zeros).unwrap();
        let item = tape.input_ids("item", 1, 1);
        [tape.gather(table, item).unwrap(), tape.param("p", [1, 4], Init::Zeros).unwrap()]
    };
    let mut tape = Tape::new();
    let [row, p] = both(&mut tape);
    let one = tape.add(row, p).unwrap();
    let ones = tape.constant(&[1.0; 4], 1, 4).unwrap();
    let loss = tape.group_dot(ones, one, 1.0).unwrap();
    tape.backward(loss).unwrap();
    tape.optimize(&Optimizer::sgd()).unwrap();
    let mut look = Tape::with_params(tape.params().clone());
    let [row, p] = both(&mut look);
    let p = look.scale(p, -1.0).unwrap();
    let difference = look.add(row, p).unwrap();
    look.output("difference", difference);
    for device in devices() {
        let store = Store::new(device, tape.params(), 1).unwrap();
        store.put_u32("item", &[5]).unwrap(); // both programs read it
        let mut program = tape.compile(&store).unwrap();
        let done = AtomicBool::new(false);
        ends("steps and a program that reads", || {
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let (mut look, mut torn) = (look.compile(&store).unwrap(), 0);
                    while !done.load(Ordering::Acquire) {
                        look.run(&Step::default()).unwrap();
                        torn += usize::from(look.read_f32("difference").unwrap() != [0.0; 4]);
                    }
                    torn
                });
                let run = |t| program.run(&Step::new(t, 0, 0, 1).with_rates(1.0, 1.0, 0.0, 0.0));
                let ran: Result<(), _> = (1..=steps).try_for_each(run);
                done.store(true, Ordering::Release);
                ran.unwrap();
                assert_eq!(reader.join().unwrap(), 0, "{device:?}: runs that saw half a step");
            });
        });
        assert_eq!(store.get("p").unwrap(), [-(steps as f32); 4], "{device:?}");
    }
}

/// Steps and requests as jobs of one pool: a thread that waits inside of one takes the next meanwhile.
#[test]
fn steps_and_requests_as_jobs_of_one_pool() {
    for device in devices() {
        let tape = training();
        let store = Store::new(device, tape.params(), 7).unwrap();
        let jobs = if matches!(device, Device::Cpu(_)) { 400 } else { 40 };
        let work = || {
            (0..jobs).into_par_iter().for_each(|i| {
                if i % 4 == 0 {
                    let mut program = tape.compile(&store).unwrap();
                    let step = Optimizer::adam().rates(Step::new(1, 7, 0, BATCH as u32), 1e-3, 1e-3);
                    program.run(&step).unwrap();
                } else if i % 4 == 1 {
                    assert_eq!(store.get("table").unwrap().len(), ROWS * DIM);
                } else {
                    let mut look = Tape::with_params(tape.params().clone());
                    let h = forward(&mut look);
                    look.output("h", h);
                    let mut program = look.compile(&store).unwrap();
                    program.run(&Step::new(1, 0, 0, BATCH as u32)).unwrap();
                    assert_eq!(program.read_f32("h").unwrap().len(), BATCH * DIM);
                }
            });
        };
        ends("jobs of the global pool", work);
        ends("jobs of the device's pool", || inside(device, work));
    }
}

/// Adds 1 to its words; panics half-way at step 13, reads the device from inside at step 14.
#[derive(Debug)]
struct AddOne {
    device: Device,
    own: Buffer,
}

impl Kernel for AddOne {
    fn name(&self) -> &'static str {
        "add_one"
    }

    fn signature(&self) -> Signature {
        Signature { reads: vec![], writes: vec![Slot::f32("x", 1, 4).in_place()] }
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let step = io.step.step;
        if step == 14 {
            let error = self.device.read_f32(&self.own).unwrap_err().to_string();
            assert!(error.contains("from a kernel"), "{error}");
        }
        for (i, x) in io.write(0).f32().iter_mut().enumerate() {
            assert!(step != 13 || i < 2, "half-way");
            *x += 1.0;
        }
    }

    fn dispatches(&self, _: &Operands) -> Vec<Dispatch> {
        vec![]
    }
}

#[test]
fn a_panic_in_a_kernel_has_its_own_message_and_its_end() {
    for device in &devices()[..2] {
        let x = device.upload_f32(&[0.0; 4], "x").unwrap();
        let other = device.upload_f32(&[0.0; 4], "other").unwrap();
        let add = || Call {
            kernel: Arc::new(AddOne { device: device.clone(), own: x.clone() }),
            operands: Operands { writes: vec![Some(Operand::dense(0, 1, 4))], ..Operands::default() },
        };
        let mut program = Program::new(device, vec![x.clone()], vec![add()]).unwrap();
        let at = |step| Step { step, ..Step::default() };
        program.run(&at(14)).unwrap();
        assert_eq!(device.read_f32(&x).unwrap(), [1.0; 4]);
        assert!(catch_unwind(AssertUnwindSafe(|| program.run(&at(13)))).is_err(), "the panic comes through");
        for error in [program.run(&at(1)).unwrap_err(), device.read_f32(&x).unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains("panicked") && error.contains("not whole") && !error.contains("in use"), "{error}");
        }
        device.write(&x, 1, &[0]).unwrap();
        assert!(program.run(&at(1)).is_err(), "one word of four is not all");
        device.write(&x, 0, &[0; 4]).unwrap();
        program.run(&at(1)).unwrap();
        assert_eq!(device.read_f32(&x).unwrap(), [1.0; 4], "whole again");
        assert_eq!(device.read_f32(&other).unwrap(), [0.0; 4]);
    }
}

#[test]
fn one_memory_under_two_numbers_is_refused_where_it_is_written() {
    for device in devices() {
        let x = device.zeros(Dtype::F32, 4, "x").unwrap();
        let call = |to| Call {
            kernel: Arc::new(kernels::Copy { rows: 1, cols: 4 }),
            operands: Operands {
                reads: vec![Some(Operand::dense(0, 1, 4))],
                writes: vec![Some(Operand::dense(to, 1, 4))],
                scratch: vec![],
            },
        };
        let y = device.zeros(Dtype::F32, 4, "y").unwrap();
        assert!(Program::new(device, vec![x.clone(), y], vec![call(1)]).is_ok());
        let error = Program::new(device, vec![x.clone(), x.clone()], vec![call(1)]).err().map(|e| e.to_string());
        assert!(error.is_some(), "{device:?}");
    }
}

/// A clock of a run that reads a buffer gets an error: it does not stop for ever.
#[test]
fn the_clock_of_a_run_cannot_read_what_the_run_holds() {
    for device in devices() {
        let tape = training();
        let store = Store::new(device, tape.params(), 7).unwrap();
        let mut program = tape.compile(&store).unwrap();
        let refused = AtomicUsize::new(0);
        let clock = || {
            let error = store.get("w").unwrap_err().to_string();
            assert!(error.contains("clock"), "{error}");
            refused.fetch_add(1, Ordering::Relaxed) as f64
        };
        ends("a clock that reads", || {
            program.run_clocked(&Step::new(1, 0, 0, BATCH as u32), &clock).unwrap();
        });
        assert!(refused.load(Ordering::Relaxed) > 0);
        store.get("w").unwrap();
    }
}
