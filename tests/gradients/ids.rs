//! Ids out of range on a tape: each way by which they come is held at the tape, at compiling or where the host writes; what only the
//! device knows reads zeros, changes nothing, and is told.

use rt_tensor::{
    BagOptions, BatchSpec, BatchVars, Error, Init, Optimizer, Program, Step, Store, Tape, UnseenSpec, Var,
};
use rt_tests::{devices, devices_with_checks};

const ROWS: usize = 5;
const DIM: usize = 4;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn step(number: u32, valid: u32) -> Step {
    Optimizer::sgd().rates(Step::new(number, 7, 0, valid), 1.0, 1.0)
}

/// Integers that nothing is known of: bit j of row i says whether candidate j + 1 stands in list i. `[rows, words]`.
fn unknown(tape: &mut Tape, rows: usize, words: usize) -> Var {
    let (slice, items) = (tape.input_ids("lists.slice", rows, 2), tape.input_ids("lists.items", 64, 1));
    let candidates: Vec<u32> = (1..=32 * words as u32).collect();
    let candidates = tape.constant_ids(&candidates, 32 * words, 1).unwrap();
    let targets = tape.constant_ids(&vec![0; rows], rows, 1).unwrap();
    tape.own_mask(slice, items, candidates, targets).unwrap()
}

/// Makes [`unknown`] these words.
fn write_unknown(program: &mut Program, words: &[u32], cols: usize) {
    let (mut items, mut slices) = (Vec::new(), Vec::new());
    for row in words.chunks(cols) {
        let (start, n) = (items.len() as u32, 32 * row.len() as u32);
        items.extend((0..n).filter(|bit| row[*bit as usize / 32] >> (bit % 32) & 1 == 1).map(|bit| bit + 1));
        slices.extend([start, items.len() as u32 - start]);
    }
    items.resize(64, 0);
    program.write_u32("lists.items", &items).unwrap();
    program.write_u32("lists.slice", &slices).unwrap();
}

/// Two tables that share a buffer on a GPU; the ids of the first one nothing is known of.
#[test]
fn an_id_past_its_table_trains_no_other_row() {
    for device in devices_with_checks() {
        let mut tape = Tape::new();
        let (a, b) = (
            tape.table("a", ROWS, DIM, Init::Uniform(1.0)).unwrap(),
            tape.table("b", ROWS, DIM, Init::Uniform(1.0)).unwrap(),
        );
        let ids = unknown(&mut tape, 4, 1);
        let others = tape.constant_ids(&[1, 1, 3, 3], 4, 1).unwrap();
        let (x, y) = (tape.gather(a, ids).unwrap(), tape.gather(b, others).unwrap());
        let dots = tape.group_dot(x, y, 1.0).unwrap();
        let loss = tape.sum(dots).unwrap();
        tape.output("loss", loss);
        tape.output("x", x);
        tape.backward(loss).unwrap();
        tape.optimize(&Optimizer::sgd()).unwrap();
        let store = Store::new(device, tape.params(), 3).unwrap();
        let mut program = tape.compile(&store).unwrap();
        let before = ["a", "b"].map(|name| store.get(name).unwrap());
        write_unknown(&mut program, &[1, 7, 6, 4], 1);
        let mut watch = program.watch("loss", 1, 2).unwrap();
        program.run(&step(11, 4)).unwrap();
        assert!(watch.start(0, 1).unwrap());
        let error = loop {
            match watch.poll() {
                Ok(None) => std::thread::yield_now(),
                Ok(Some(loss)) => panic!("{device:?}: a loss of {loss:?} and no word of id 7"),
                Err(error) => break error,
            }
        };
        assert!(matches!(&error, Error::Ids { step: 11, row: 1, .. }), "{device:?}: {error:?}");
        let said = error.to_string();
        assert!(said.contains("step 11") && said.contains("`gather`") && said.contains("id 7 in row 1"), "{said}");
        assert!(said.contains("below 5") && said.contains("own_mask"), "{said}");

        // Told once: what was run goes on from there. Rows 1 and 4 of `a`, 1 and 3 of `b` have moved, by what the rows of zeros leave.
        let x = program.read_f32("x").unwrap();
        assert_eq!(x[DIM..3 * DIM], [0.0; 2 * DIM], "{device:?}");
        let after = ["a", "b"].map(|name| store.get(name).unwrap());
        let row = |t: &[f32], r: usize| t[r * DIM..][..DIM].to_vec();
        let mut want = before.clone();
        for c in 0..DIM {
            want[0][DIM + c] -= before[1][DIM + c];
            want[0][4 * DIM + c] -= before[1][3 * DIM + c];
            want[1][DIM + c] -= before[0][DIM + c];
            want[1][3 * DIM + c] -= before[0][4 * DIM + c];
        }
        for t in 0..2 {
            for r in 0..ROWS {
                assert_eq!(bits(&row(&after[t], r)), bits(&row(&want[t], r)), "{device:?}: row {r} of table {t}");
            }
        }
        // The program goes on.
        write_unknown(&mut program, &[1, 2, 3, 4], 1);
        program.run(&step(12, 4)).unwrap();
        program.synchronize().unwrap();
        program.read_f32("loss").unwrap();
        assert!(watch.start(0, 1).unwrap());
        let loss = loop {
            if let Some(loss) = watch.poll().unwrap() {
                break loss[0];
            }
        };
        assert!(loss.is_finite());
        // Whoever looks first says it, for each step once; of a step the first check and the smallest place.
        for (number, words) in [(13, [1, 1 << 31, 4, u32::MAX]), (14, [0, 1, 2, 5])] {
            write_unknown(&mut program, &words, 1);
            program.run(&step(number, 4)).unwrap();
        }
        let error = program.read_f32("loss").unwrap_err();
        assert!(matches!(&error, Error::Ids { step: 13, row: 1, .. }), "{device:?}: {error:?}");
        assert!(error.to_string().contains("id 2147483648"), "{error}");
        let error = program.synchronize().unwrap_err();
        assert!(matches!(&error, Error::Ids { step: 14, row: 3, .. }), "{device:?}: {error:?}");
        program.read_f32("loss").unwrap();
    }
}

/// Row 0 of a parameter and of integers is a row like others: none stands in for an id that is none.
#[test]
fn what_is_taken_by_an_id_past_the_rows_is_zero_and_trains_nothing() {
    let given = [2, 7, 3, 3, u32::MAX, 5];
    let weights: Vec<f32> = (1..=given.len() * DIM).map(|x| x as f32).collect();
    for device in devices_with_checks() {
        let mut tape = Tape::new();
        let x = tape.param("x", [ROWS, DIM], Init::Uniform(1.0)).unwrap();
        let table = tape.table("t", ROWS, DIM, Init::Uniform(1.0)).unwrap();
        let numbers: Vec<u32> = (50..50 + 2 * ROWS as u32).collect();
        let numbers = tape.constant_ids(&numbers, ROWS, 2).unwrap();
        let ids = unknown(&mut tape, given.len(), 1);
        let weights_of = tape.constant(&weights, given.len(), DIM).unwrap();
        let taken = [tape.take(x, ids).unwrap(), tape.take(table, ids).unwrap()];
        let numbers = tape.take(numbers, ids).unwrap();
        let mut dots = taken.map(|rows| tape.group_dot(rows, weights_of, 1.0).unwrap());
        dots = dots.map(|dots| tape.sum(dots).unwrap());
        let both = tape.concat_rows(&dots).unwrap();
        let loss = tape.sum(both).unwrap();
        tape.output("x", taken[0]);
        tape.output("t", taken[1]);
        tape.output("numbers", numbers);
        tape.backward(loss).unwrap();
        tape.optimize(&Optimizer::sgd()).unwrap();
        let store = Store::new(device, tape.params(), 3).unwrap();
        let mut program = tape.compile(&store).unwrap();
        let before = ["x", "t"].map(|name| store.get(name).unwrap());
        assert!(before[0][..DIM].iter().all(|cell| *cell != 0.0), "row 0 has to be told from zeros");
        write_unknown(&mut program, &given, 1);
        program.run(&step(3, 6)).unwrap();
        let error = program.synchronize().unwrap_err().to_string();
        assert!(error.contains("`take`") && error.contains("id 7 in row 1") && error.contains("below 5"), "{error}");

        for (name, before) in ["x", "t"].iter().zip(&before) {
            let (got, after) = (program.read_f32(name).unwrap(), store.get(name).unwrap());
            let mut want = before.clone();
            for (i, id) in given.iter().map(|id| *id as usize).enumerate() {
                let row = if id < ROWS { before[id * DIM..][..DIM].to_vec() } else { vec![0.0; DIM] };
                assert_eq!(got[i * DIM..][..DIM], row, "{name}, {device:?}: row {i}");
            }
            for c in 0..DIM {
                want[2 * DIM + c] -= weights[c];
                want[3 * DIM + c] -= weights[2 * DIM + c] + weights[3 * DIM + c];
            }
            assert_eq!(bits(&after), bits(&want), "{name}, {device:?}");
        }
        let want = [54, 55, 0, 0, 56, 57, 56, 57, 0, 0, 0, 0];
        assert_eq!(program.read_u32("numbers").unwrap(), want, "{device:?}");
    }
}

/// Ids and users past what they are looked up in are not item 0 nor user 0, whose row is real.
#[test]
fn row_0_stands_in_for_no_id_of_a_table_of_shares_and_for_no_user() {
    for device in devices() {
        let mut tape = Tape::new();
        let ids = unknown(&mut tape, 3, 1);
        let shares = tape.constant(&[0.5, 0.25, 0.125], 3, 1).unwrap();
        let logq = tape.logq(shares, ids, false, 1.0).unwrap();
        let candidates = tape.candidate_logq(shares, ids, (1, 1), 4, false).unwrap();
        // User 0 has seen all that is drawn from, so that the target takes its place.
        let (list, lists) = (tape.constant_ids(&[1, 2, 3], 3, 1).unwrap(), [0, 3, 0, 0, 0, 0]);
        let slices = tape.constant_ids(&lists, 3, 2).unwrap();
        let target = tape.constant_ids(&[9; 3], 3, 1).unwrap();
        let spec = UnseenSpec { user: ids, target, list, slices, alias: None, count: 3, k: 4 };
        let drawn = tape.draw_unseen(&spec, 0).unwrap();
        // User 0 has events before the row's.
        let order = tape.constant_ids(&[3, 3, 3], 3, 1).unwrap();
        let items = tape.constant_ids(&[1; 4], 4, 1).unwrap();
        let starts = tape.constant_ids(&[0, 4, 4], 3, 1).unwrap();
        let spec = BatchSpec { order, items, starts, ends: None, batch: 3, history: 3 };
        let batch = BatchVars { user: ids, ..tape.batch(&spec).unwrap() };
        let seconds = tape.constant_ids(&[10, 20, 30, 40], 4, 1).unwrap();
        let [sessions, _] = tape.sessions(seconds, &batch, starts, 3, 60).unwrap();
        for (name, v) in [("logq", logq), ("candidates", candidates), ("drawn", drawn), ("sessions", sessions)] {
            tape.output(name, v);
        }
        let store = Store::new(device, tape.params(), 3).unwrap();
        let mut program = tape.compile(&store).unwrap();
        write_unknown(&mut program, &[0, 3, u32::MAX], 1);
        program.run(&step(1, 3)).unwrap();
        let error = program.synchronize().unwrap_err();
        assert!(matches!(error, Error::Ids { step: 1, row: 1, .. }), "{device:?}: {error:?}");
        assert_eq!(program.read_f32("logq").unwrap(), [1.5, 1.0, 1.0], "{device:?}");
        assert_eq!(program.read_f32("candidates").unwrap(), [0.0, 1e30, 1e30], "{device:?}");
        let drawn = program.read_u32("drawn").unwrap();
        assert_eq!(drawn[..4], [9; 4], "{device:?}");
        assert!(drawn[4..].iter().all(|id| (1..=3).contains(id)), "{device:?}: {drawn:?}");
        assert_eq!(program.read_u32("sessions").unwrap(), [0, 3, 3, 0, 3, 0], "{device:?}");
    }
}

/// Seventy steps that each have a fault, and nobody looks: the very first is told, then the oldest that is kept, and that there were
/// others.
#[test]
fn of_more_faults_than_are_kept_the_first_and_the_oldest_kept_are_told() {
    for device in devices() {
        let mut tape = Tape::new();
        let ids = unknown(&mut tape, 1, 1);
        look_up(&mut tape, ids);
        let store = Store::new(device, tape.params(), 3).unwrap();
        let mut program = tape.compile(&store).unwrap();
        let mut told = |words: &[u32], steps: std::ops::RangeInclusive<u32>, want: &[u32], lost: (u32, &str)| {
            write_unknown(&mut program, words, 1);
            for number in steps {
                program.run(&step(number, 1)).unwrap();
            }
            for number in want {
                let error = program.synchronize().unwrap_err();
                assert!(matches!(error, Error::Ids { step, .. } if step == *number), "{device:?}: {error:?}");
                let said = error.to_string();
                assert!(said.contains(&format!("id {}", words[0])), "{device:?}: {said}");
                assert_eq!(said.contains("older faults"), *number == lost.0, "{device:?}: {said}");
                assert!(*number != lost.0 || said.contains(lost.1), "{device:?}: {said}");
            }
            program.synchronize().unwrap();
        };
        let after_first: Vec<u32> = std::iter::once(1).chain(7..=70).collect();
        told(&[7], 1..=70, &after_first, (7, "5 older faults"));
        // The first was told: of seventy more the oldest kept is.
        told(&[9], 101..=170, &(107..=170).collect::<Vec<_>>(), (107, "6 older faults"));
    }
}

/// A check of a queue says nothing of what is pushed after it.
#[test]
fn a_queue_is_checked_again_after_a_push() {
    for device in devices() {
        let mut tape = Tape::new();
        let table = tape.table("t", ROWS, DIM, Init::Uniform(1.0)).unwrap();
        let words = unknown(&mut tape, 2, 1);
        let (first, second) = (tape.rows(words, 0, 1).unwrap(), tape.rows(words, 1, 1).unwrap());
        let (state, _) = tape.queue("queue", first, 1).unwrap();
        for (push, names) in [(first, ["a", "b"]), (second, ["c", "d"])] {
            tape.queue_push(state, push).unwrap();
            for name in names {
                let rows = tape.gather(table, state).unwrap();
                tape.output(name, rows);
            }
        }
        let store = Store::new(device, tape.params(), 3).unwrap();
        let mut program = tape.compile(&store).unwrap();
        let checks = program.launches().iter().filter(|(_, name)| *name == "check_ids").count();
        assert!(checks <= 2, "{device:?}: a check is used again as long as nothing is pushed");
        let t = store.get("t").unwrap();
        write_unknown(&mut program, &[1, 4], 1);
        program.run(&step(1, 1)).unwrap();
        for (name, row) in [("a", 1), ("b", 1), ("c", 4), ("d", 4)] {
            assert_eq!(program.read_f32(name).unwrap(), t[row * DIM..][..DIM], "{name}, {device:?}");
        }
        write_unknown(&mut program, &[1, 7], 1);
        program.run(&step(2, 1)).unwrap();
        let error = program.synchronize().unwrap_err();
        assert!(matches!(error, Error::Ids { step: 2, .. }), "{device:?}: {error:?}");
        assert_eq!(program.read_f32("d").unwrap(), [0.0; DIM], "{device:?}");
    }
}

/// A bag over slices that nothing is known of, and over items.
#[test]
fn slices_that_lie_nowhere_are_empty_and_told() {
    for device in devices() {
        let mut tape = Tape::new();
        let table = tape.table("t", ROWS, DIM, Init::Uniform(1.0)).unwrap();
        let items = tape.constant_ids(&[1, 2, 3, 4], 4, 1).unwrap();
        let slices = unknown(&mut tape, 3, 2);
        let options =
            BagOptions { windows: vec![usize::MAX], mean: true, zones: false, max_len: 4, mask: None, hole: None };
        let bag = tape.bag(table, items, slices, &options).unwrap();
        tape.output("bag", bag);
        let store = Store::new(device, tape.params(), 3).unwrap();
        let mut program = tape.compile(&store).unwrap();
        let t = store.get("t").unwrap();
        write_unknown(&mut program, &[2, 2, 3, 2, 0, 1], 2);
        program.run(&step(1, 3)).unwrap();
        let error = program.read_f32("bag").unwrap_err().to_string();
        assert!(error.contains("slice (3, 2) in row 1") && error.contains("within 4"), "{device:?}: {error}");
        let got = program.read_f32("bag").unwrap();
        assert_eq!(got[DIM..2 * DIM], [0.0; DIM], "{device:?}");
        assert_eq!(got[2 * DIM..], t[DIM..2 * DIM], "{device:?}");
        write_unknown(&mut program, &[2, 2, 3, 1, 0, 1], 2);
        program.run(&step(2, 3)).unwrap();
        assert_eq!(program.read_f32("bag").unwrap()[DIM..2 * DIM], t[4 * DIM..], "{device:?}");
    }
}

/// What is done with a value of the tape.
type Meet<'a> = &'a mut dyn FnMut(&mut Tape, Var);

/// One way from the host's words to the ids of a table of five rows.
struct Way {
    what: &'static str,
    /// The data that it goes through, and words of it that are right and that are wrong.
    name: &'static str,
    good: Vec<u32>,
    bad: Vec<u32>,
    record: fn(&mut Tape, Meet<'_>),
}

/// Looks ids up in a table of five rows.
fn look_up(tape: &mut Tape, ids: Var) {
    let table = tape.table("t", ROWS, DIM, Init::Uniform(1.0)).unwrap();
    let rows = tape.gather(table, ids).unwrap();
    tape.output("rows", rows);
}

fn keep(tape: &mut Tape, name: &str, v: Var) {
    tape.output(name, v);
}

fn ways() -> Vec<Way> {
    let way = |what, name, good: &[u32], bad: &[u32], record| Way {
        what,
        name,
        good: good.to_vec(),
        bad: bad.to_vec(),
        record,
    };
    vec![
        way("columns", "m", &[9, 0, 9, 4, 9, 1], &[9, 0, 9, 5, 9, 1], |tape, then| {
            let m = tape.input_ids("m", 3, 2);
            let v = tape.columns(m, 1, 1).unwrap();
            then(tape, v);
        }),
        way("rows", "m", &[9, 9, 4], &[0, 0, 5], |tape, then| {
            let m = tape.input_ids("m", 3, 1);
            let v = tape.rows(m, 2, 1).unwrap();
            then(tape, v);
        }),
        way("reshape", "m", &[1, 2, 3, 4], &[1, 2, 3, 7], |tape, then| {
            let m = tape.input_ids("m", 2, 2);
            let v = tape.reshape(m, 4, 1).unwrap();
            then(tape, v);
        }),
        way("drop_ids", "m", &[1, 4], &[1, u32::MAX], |tape, then| {
            let m = tape.input_ids("m", 2, 1);
            let v = tape.drop_ids(m, 0.5, 0).unwrap();
            then(tape, v);
        }),
        way("concat_id_rows", "m", &[1, 4], &[5, 1], |tape, then| {
            let (m, other) = (tape.input_ids("m", 2, 1), tape.constant_ids(&[3], 1, 1).unwrap());
            let v = tape.concat_id_rows(&[other, m]).unwrap();
            then(tape, v);
        }),
        way("concat_ids, columns", "m", &[1, 4], &[1, 6], |tape, then| {
            let (m, other) = (tape.input_ids("m", 2, 1), tape.constant_ids(&[30, 30], 2, 1).unwrap());
            let both = tape.concat_ids(&[other, m]).unwrap();
            let v = tape.columns(both, 1, 1).unwrap();
            then(tape, v);
        }),
        way("take of a column", "m", &[7, 1, 7, 4, 7, 0], &[7, 1, 7, 5, 7, 0], |tape, then| {
            let m = tape.input_ids("m", 3, 2);
            let of = tape.constant_ids(&[2, 1, 0, 0], 4, 1).unwrap();
            let taken = tape.take(m, of).unwrap();
            let v = tape.columns(taken, 1, 1).unwrap();
            then(tape, v);
        }),
        way("take by ids", "m", &[2, 1], &[2, 3], |tape, then| {
            let data = tape.constant_ids(&[1, 2, 4], 3, 1).unwrap();
            let m = tape.input_ids("m", 2, 1);
            let v = tape.take(data, m).unwrap();
            then(tape, v);
        }),
        way("history_ids", "m", &[1, 2, 3, 4], &[1, 2, 3, 5], |tape, then| {
            let (m, slice) = (tape.input_ids("m", 4, 1), tape.constant_ids(&[0, 2, 2, 2], 2, 2).unwrap());
            let v = tape.history_ids(m, ROWS, slice, 3, None, None).unwrap();
            then(tape, v);
        }),
        way("slices of history_ids", "m", &[0, 2, 4, 0], &[0, 2, 3, 2], |tape, then| {
            let (m, items) = (tape.input_ids("m", 2, 2), tape.constant_ids(&[1, 2, 3, 4], 4, 1).unwrap());
            let v = tape.history_ids(items, ROWS, m, 3, None, None).unwrap();
            then(tape, v);
        }),
        way("keep_mined", "m", &[0, 4, 1, 2], &[0, 5, 1, 2], |tape, then| {
            let (m, target) = (tape.input_ids("m", 2, 2), tape.constant_ids(&[1, 2], 2, 1).unwrap());
            let kept = tape.keep_mined(m, target, 0.5, 0).unwrap();
            let v = tape.reshape(kept, 4, 1).unwrap();
            then(tape, v);
        }),
        way("draw_alias", "m", &[1, 2, 0, 4, 3], &[1, 2, 0, 4, 8], |tape, then| {
            let (m, threshold) = (tape.input_ids("m", 5, 1), tape.constant_ids(&[0; 5], 5, 1).unwrap());
            let v = tape.draw_alias(6, threshold, m, 0).unwrap();
            then(tape, v);
        }),
        way("draw_unseen", "m", &[1, 4], &[1, 5], |tape, then| {
            let (m, user) = (tape.input_ids("m", 2, 1), tape.constant_ids(&[0, 0], 2, 1).unwrap());
            let (list, slices) = (tape.constant_ids(&[1, 2], 2, 1).unwrap(), tape.constant_ids(&[0, 2], 1, 2).unwrap());
            let spec = UnseenSpec { user, target: m, list, slices, alias: None, count: 4, k: 1 };
            let v = tape.draw_unseen(&spec, 0).unwrap();
            then(tape, v);
        }),
        way("users of draw_unseen", "m", &[0, 0], &[0, 1], |tape, then| {
            let (m, target) = (tape.input_ids("m", 2, 1), tape.constant_ids(&[1, 1], 2, 1).unwrap());
            let (list, slices) = (tape.constant_ids(&[1, 2], 2, 1).unwrap(), tape.constant_ids(&[0, 2], 1, 2).unwrap());
            let spec = UnseenSpec { user: m, target, list, slices, alias: None, count: 4, k: 1 };
            let v = tape.draw_unseen(&spec, 0).unwrap();
            then(tape, v);
        }),
        way("logq", "m", &[1, 2], &[1, 3], |tape, then| {
            let (m, q) = (tape.input_ids("m", 2, 1), tape.constant(&[0.0; 3], 3, 1).unwrap());
            let v = tape.logq(q, m, false, 0.0).unwrap();
            keep(tape, "q", v);
            then(tape, m);
        }),
        way("candidate_logq", "m", &[1, 2], &[1, 3], |tape, then| {
            let (m, q) = (tape.input_ids("m", 2, 1), tape.constant(&[0.5; 3], 3, 1).unwrap());
            let v = tape.candidate_logq(q, m, (1, 0), 4, true).unwrap();
            keep(tape, "q", v);
            then(tape, m);
        }),
        way("frequency", "m", &[1, 2], &[1, 3], |tape, then| {
            let m = tape.input_ids("m", 2, 1);
            let v = tape.frequency(m, 3, 1, false, 0.1).unwrap();
            keep(tape, "q", v);
            then(tape, m);
        }),
        way("order of a batch", "m", &[0, 1, 2, 3], &[0, 1, 2, 4], |tape, then| {
            let (order, items) = (tape.input_ids("m", 4, 1), tape.constant_ids(&[1, 2, 3, 4], 4, 1).unwrap());
            let starts = tape.constant_ids(&[0, 1, 4], 3, 1).unwrap();
            let spec = BatchSpec { order, items, starts, ends: None, batch: 2, history: 2 };
            let batch = tape.batch(&spec).unwrap();
            then(tape, batch.target);
        }),
        way("ends of a batch", "m", &[1, 4], &[1, 5], |tape, then| {
            let (ends, items) = (tape.input_ids("m", 2, 1), tape.constant_ids(&[1, 2, 3, 4], 4, 1).unwrap());
            let order = tape.constant_ids(&[0, 1, 2, 3], 4, 1).unwrap();
            let starts = tape.constant_ids(&[0, 1, 4], 3, 1).unwrap();
            let spec = BatchSpec { order, items, starts, ends: Some(ends), batch: 2, history: 2 };
            let batch = tape.batch(&spec).unwrap();
            let v = tape.history_ids(items, ROWS, batch.slice, 2, None, batch.hole).unwrap();
            then(tape, v);
        }),
        way("items of a batch", "m", &[1, 4, 0, 2], &[1, 5, 0, 2], |tape, then| {
            let (items, order) = (tape.input_ids("m", 4, 1), tape.constant_ids(&[0, 1, 2, 3], 4, 1).unwrap());
            let starts = tape.constant_ids(&[0, 1, 4], 3, 1).unwrap();
            let spec = BatchSpec { order, items, starts, ends: None, batch: 2, history: 2 };
            let batch = tape.batch(&spec).unwrap();
            then(tape, batch.target);
        }),
        way("a queue", "m", &[1, 4], &[1, 5], |tape, then| {
            let m = tape.input_ids("m", 2, 1);
            let (state, now) = tape.queue("queue", m, 3).unwrap();
            then(tape, now);
            tape.queue_push(state, m).unwrap();
        }),
    ]
}

/// As an input of the program, as data of the store that is there before the program, and that comes after it.
#[test]
fn each_way_round_is_held_where_the_host_writes() {
    for device in devices() {
        for way in ways() {
            let mut tape = Tape::new();
            (way.record)(&mut tape, &mut look_up);
            let ran = |program: &mut Program| {
                program.run(&step(1, 2)).unwrap();
                program.read_f32("rows").unwrap()
            };
            let held = |result: rt_tensor::Result<()>| {
                let error = result.expect_err(way.what);
                assert!(matches!(&error, Error::Data { name, .. } if name == way.name), "{}: {error:?}", way.what);
            };
            let store = || Store::new(device, tape.params(), 3).unwrap();
            let own = store();
            let mut program = tape.compile(&own).unwrap();
            program.write_u32(way.name, &way.good).unwrap();
            held(program.write_u32(way.name, &way.bad));
            let rows = ran(&mut program);

            let data = store();
            data.put_u32(way.name, &way.bad).unwrap();
            held(tape.compile(&data).map(|_| ()));
            data.put_u32(way.name, &way.good).unwrap();
            let mut program = tape.compile(&data).unwrap();
            held(data.put_u32(way.name, &way.bad));
            held(data.share_u32(way.name, std::sync::Arc::new(way.bad.clone())));
            held(program.write_u32(way.name, &way.bad));
            assert_eq!(ran(&mut program), rows, "{}, {device:?}", way.what);
        }
    }
}

/// Draws below ten for a table of five rows: which of them are past it the device alone knows.
#[test]
fn draws_past_the_table_are_told() {
    for device in devices() {
        let mut tape = Tape::new();
        let drawn = tape.draw_uniform(40, 1, 9, 0).unwrap();
        tape.output("drawn", drawn);
        look_up(&mut tape, drawn);
        let store = Store::new(device, tape.params(), 3).unwrap();
        let mut program = tape.compile(&store).unwrap();
        program.run(&step(5, 1)).unwrap();
        let error = program.read_f32("rows").unwrap_err();
        let drawn = program.read_u32("drawn").unwrap();
        let first = drawn.iter().position(|id| *id >= ROWS as u32).unwrap();
        let want = format!("id {} in row {first}", drawn[first]);
        assert!(matches!(&error, Error::Ids { step: 5, row, .. } if *row == first), "{device:?}: {error:?}");
        assert!(error.to_string().contains(&want), "{error}");
        let (t, rows) = (store.get("t").unwrap(), program.read_f32("rows").unwrap());
        for (id, row) in drawn.iter().zip(rows.chunks(DIM)) {
            let want = t.get(*id as usize * DIM..).and_then(|t| t.get(..DIM)).unwrap_or(&[0.0; DIM]);
            assert_eq!(row, want, "{device:?}, id {id}");
        }
        // Draws of the table alone need no check.
        let mut tape = Tape::new();
        let drawn = tape.draw_uniform(40, 1, 4, 0).unwrap();
        look_up(&mut tape, drawn);
        let program = tape.compile(&Store::new(device, tape.params(), 3).unwrap()).unwrap();
        assert!(!program.launches().iter().any(|(_, name)| name.contains("check_ids")), "{:?}", program.launches());
    }
}

/// What a state holds comes from every program that writes it.
#[test]
fn a_program_that_writes_other_ids_into_a_queue_is_refused() {
    let device = &devices()[0];
    let mut five = Tape::new();
    let m = five.input_ids("m", 2, 1);
    let (state, now) = five.queue("queue", m, 3).unwrap();
    look_up(&mut five, now);
    five.queue_push(state, m).unwrap();
    let mut nine = Tape::with_params(five.params().clone());
    let drawn = nine.draw_uniform(2, 1, 8, 0).unwrap();
    let (state, _) = nine.queue("queue", drawn, 3).unwrap();
    nine.queue_push(state, drawn).unwrap();
    let store = Store::new(device, five.params(), 1).unwrap();
    five.compile(&store).unwrap();
    let error = nine.compile(&store).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`queue`") && error.contains("below 5"), "{error}");
    let store = Store::new(device, five.params(), 1).unwrap();
    nine.compile(&store).unwrap();
    let error = five.compile(&store).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`queue`") && error.contains("compile this one first"), "{error}");
}

#[test]
fn a_step_past_its_examples_is_refused_before_anything_runs() {
    for device in devices() {
        let mut tape = Tape::new();
        let (order, items) = (tape.input_ids("order", 6, 1), tape.constant_ids(&[1, 2, 3, 4, 1, 2], 6, 1).unwrap());
        let starts = tape.constant_ids(&[0, 0, 6], 3, 1).unwrap();
        let spec = BatchSpec { order, items, starts, ends: None, batch: 4, history: 2 };
        let batch = tape.batch(&spec).unwrap();
        let table = tape.table("t", ROWS, DIM, Init::Uniform(1.0)).unwrap();
        let rows = tape.gather(table, batch.target).unwrap();
        let squares = tape.group_dot(rows, rows, 1.0).unwrap();
        let loss = tape.sum(squares).unwrap();
        tape.output("loss", loss);
        tape.backward(loss).unwrap();
        tape.optimize(&Optimizer::sgd()).unwrap();
        let store = Store::new(device, tape.params(), 3).unwrap();
        let mut program = tape.compile(&store).unwrap();
        program.write_u32("order", &[5, 4, 3, 2, 1, 0]).unwrap();
        let before = bits(&store.get("t").unwrap());
        let at = |offset, valid| Optimizer::sgd().rates(Step::new(1, 7, offset, valid), 0.1, 0.1);
        let with = |change: fn(&mut Step)| {
            let mut step = at(0, 4);
            change(&mut step);
            step
        };
        for (what, step, says) in [
            ("past the order", at(3, 4), "examples 3 to 7 of 6"),
            ("one past the order", at(6, 1), "examples 6 to 7 of 6"),
            ("an offset that wraps", at(u32::MAX, 2), "of 6"),
            ("more than the batch", at(0, 5), "5 examples"),
            ("a rate that is none", with(|s| s.lr_rows = f32::NAN), "table rows is NaN"),
            ("a rate without end", with(|s| s.lr = f32::INFINITY), "dense parameters is inf"),
            ("a correction without end", with(|s| s.bias2 = f32::INFINITY), "bias2 is inf"),
            ("a weight that is none", with(|s| s.inv_valid = f32::NAN), "inv_valid is NaN"),
        ] {
            for run in [Program::run, |p: &mut Program, s: &Step| p.run_timed(s).map(|_| ())] {
                let error = run(&mut program, &step).expect_err(what).to_string();
                assert!(error.contains(says) && error.contains("step 1"), "{what}: {error}");
            }
            assert_eq!(bits(&store.get("t").unwrap()), before, "{what}, {device:?}");
        }
        program.run(&at(2, 4)).unwrap();
        program.run(&at(6, 0)).unwrap();
        program.read_f32("loss").unwrap();
        assert_ne!(bits(&store.get("t").unwrap()), before);
    }
}

#[test]
fn lists_that_are_searched_by_halves_have_to_ascend() {
    for (items, ascend) in [([1u32, 4, 9, 2, 2, 7], true), ([1, 4, 9, 7, 2, 2], false)] {
        let record = |unseen: bool| {
            let mut tape = Tape::new();
            let list = tape.constant_ids(&items, 6, 1).unwrap();
            let slices = tape.constant_ids(&[0, 3, 3, 3], 2, 2).unwrap();
            let (user, target) = (tape.input_ids("user", 2, 1), tape.input_ids("target", 2, 1));
            if unseen {
                tape.draw_unseen(&UnseenSpec { user, target, list, slices, alias: None, count: 9, k: 1 }, 0)
            } else {
                tape.own_mask(slices, list, target, target)
            }
        };
        for unseen in [false, true] {
            let said = record(unseen).err().map(|e| e.to_string());
            match said {
                None => assert!(ascend, "{items:?}: recorded"),
                Some(said) => assert!(!ascend && said.contains("list 1") && said.contains("id 7 before 2"), "{said}"),
            }
        }
    }
}

/// As inputs of the program, and as data of the store: what the host writes is looked at before the next run.
#[test]
fn lists_that_the_host_writes_have_to_ascend() {
    for device in devices() {
        for unseen in [false, true] {
            let mut tape = Tape::new();
            let (list, slices) = (tape.input_ids("items", 6, 1), tape.input_ids("slices", 2, 2));
            let target = tape.constant_ids(&[1, 1], 2, 1).unwrap();
            let out = if unseen {
                let user = tape.constant_ids(&[0, 1], 2, 1).unwrap();
                tape.draw_unseen(&UnseenSpec { user, target, list, slices, alias: None, count: 9, k: 1 }, 0).unwrap()
            } else {
                // Slices that are looked up.
                let rows = tape.constant_ids(&[1, 0], 2, 1).unwrap();
                let slices = tape.take(slices, rows).unwrap();
                tape.own_mask(slices, list, target, target).unwrap()
            };
            tape.output("out", out);
            let (good, bad, lists) = ([1u32, 4, 9, 2, 2, 7], [1u32, 4, 9, 7, 2, 2], [0u32, 3, 3, 3]);
            let refused = |program: &mut Program| {
                for _ in 0..2 {
                    let error = program.run(&step(1, 2)).unwrap_err();
                    assert!(matches!(&error, Error::Data { name, .. } if name == "items"), "{device:?}: {error:?}");
                    let said = error.to_string();
                    assert!(said.contains("list 1 has id 7 before 2") && said.contains("by halves"), "{said}");
                }
            };
            let own = Store::new(device, tape.params(), 3).unwrap();
            let mut program = tape.compile(&own).unwrap();
            program.run(&step(1, 2)).unwrap();
            program.write_u32("slices", &lists).unwrap();
            program.write_u32("items", &bad).unwrap();
            refused(&mut program);
            // A list's neighbours may be what they like.
            program.write_u32("slices", &[0, 3, 4, 2]).unwrap();
            program.run(&step(1, 2)).unwrap();
            program.write_u32("items", &good).unwrap();
            program.write_u32("slices", &lists).unwrap();
            program.run(&step(1, 2)).unwrap();

            let data = Store::new(device, tape.params(), 3).unwrap();
            data.put_u32("items", &bad).unwrap();
            data.put_u32("slices", &lists).unwrap();
            let mut program = tape.compile(&data).unwrap();
            refused(&mut program);
            data.put_u32("items", &good).unwrap();
            program.run(&step(1, 2)).unwrap();
            data.share_u32("items", std::sync::Arc::new(bad.to_vec())).unwrap();
            refused(&mut program);
            program.write_u32("items", &good).unwrap();
            program.run(&step(1, 2)).unwrap();
        }
    }
}
