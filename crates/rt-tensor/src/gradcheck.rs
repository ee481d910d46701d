//! Gradients checked against central differences of the f64 reference.
//!
//! The differences are taken of the reference, not of the kernels, so that they are good to nine digits; the kernels'
//! gradient is held against them.

mod differences;
mod history;
mod measure;

use crate::ops::{BagOptions, Negatives, Op, PositiveVar, SoftmaxSpec};
use crate::params::{Init, ParamKind};
use crate::reference::Plan;
use crate::store::Store;
use crate::tape::{Tape, Var};
use crate::{Error, Result};
use differences::{Difference, Reference};
use measure::{Bench, Recorded};
use rt_kernels::kernels::{Activation, PairRule};
use rt_kernels::{Device, Step, philox};

/// How one parameter's gradient compares, or the values of the forward pass, or the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamCheck {
    /// The parameter.
    pub parameter: String,
    /// Cells that were compared.
    pub cells: usize,
    /// Cells that prove little: those on a kink, which have no derivative to compare with, and those whose gradient moves by a
    /// hundredth or more when the parameters are rounded.
    pub skipped: usize,
    /// The largest |gradient - difference| over the cell's scale, which is such that [`TOLERANCE`] passes; infinite where
    /// something is not a number.
    pub error: f64,
    /// The worst cell, and why it does not pass; none if all do.
    pub fault: Option<String>,
}

/// A value that a parameter reaches and that was held at what the device made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The value.
    pub value: String,
    /// `stop_gradient`, or `integers`: a choice, constant but for jumps.
    pub why: &'static str,
}

/// How the gradients of one tape compare.
#[derive(Debug, Clone, PartialEq)]
pub struct GradCheck {
    /// Its loss, its values, its parameters.
    pub parameters: Vec<ParamCheck>,
    /// What was not differentiated.
    pub held: Vec<Held>,
}

/// How one op's gradients compare.
#[derive(Debug, Clone, PartialEq)]
pub struct OpCheck {
    /// The op, and the variant of it.
    pub op: String,
    /// Its parameters.
    pub check: GradCheck,
}

/// Largest error that passes, as a share of the cell's scale: f32 kernels against f64 differences.
///
/// The scale is the cell's difference, a twentieth of the parameter's largest one at least, and an absolute part beside it. True gradients may be zero, or next to it, while
/// the terms that they are sums of are not: weights in front of a normalisation, a bias in front of batch normalisation. There f32
/// leaves the rounding of the terms. How much that is, is measured: the program runs again with all parameters moved by a few units
/// in their last place, and what a gradient moves by that, and the last place of the largest value of the backward pass, is allowed (times 16),
/// and so is what the differences may be off themselves.
///
/// That is measured for each cell: next to a kink (a tie of ReLU, of a hinge or of a maximum) rounding turns a gradient on or off, and
/// what excuses that cell must not excuse others. A wrong gradient of such a cell is hidden; [`ParamCheck::skipped`] counts them.
pub const TOLERANCE: f64 = 2e-4;

/// What rounding may do, over what it was seen to do in a few runs.
const ROUNDINGS: f64 = 16.0;

/// Gradients of a tape are sums of terms as large as what its backward pass makes on the way. Rounding of constants moves them too,
/// such as that of the targets of a smoothed softmax over one candidate, which no move of the parameters shows. The least and the most
/// that are believed: a gradient of 1e12 on the way would excuse everything.
const TERMS: [f64; 2] = [0.01, 1e3];

/// The share of a parameter's largest difference that a cell's scale is at least: small gradients beside large ones have to be right too,
/// but not more exactly than the tables and exponentials of a kernel are.
const SMALLEST: f64 = 0.05;

/// A cell's gradient that rounding moves by more than this share of it says nothing.
const NOISY: f64 = 0.01;

/// What writes a program's inputs.
type Prepare<'a> = &'a dyn Fn(&mut crate::Program) -> Result<()>;

impl GradCheck {
    /// The worst of its parameters; infinite where something is not a number.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.parameters.iter().map(|p| p.error).fold(0.0, largest)
    }

    /// The first thing that is wrong, with the parameter's name.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.parameters.iter().find_map(|p| Some(format!("`{}`: {}", p.parameter, p.fault.as_ref()?)))
    }
}

impl OpCheck {
    /// The worst of its parameters.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.check.error()
    }
}

/// The larger of two, where what is not a number is larger than all numbers: `f64::max` would drop it.
fn largest(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::INFINITY } else { a.max(b) }
}

/// Compares the gradients of a tape that has [`Tape::backward`] recorded (and no optimiser) with central differences of its losses,
/// the ones that [`Tape::accumulate`] and [`Tape::backward`] were given, in the f64 reference; and the values of its ops with the
/// reference. At most `cells` cells of each parameter are taken. `prepare` writes the program's inputs.
///
/// Everything that depends on a parameter is differentiated, through views too. Held at what the device made of them are integers,
/// which are constant but for jumps, and what passes [`Tape::stop_gradient`]; the report lists both. What is not a number, in a
/// gradient, the reference or a difference, is a failure.
///
/// # Errors
///
/// [`Error::NoGradient`] before `backward`, and for a float that depends on a parameter and that the reference cannot compute;
/// whatever compiling and running give.
pub fn check_gradients(
    tape: &Tape,
    store: &Store,
    step: &Step,
    cells: usize,
    prepare: impl Fn(&mut crate::Program) -> Result<()>,
) -> Result<GradCheck> {
    let plan = Plan::new(tape);
    let bench = Bench::new(tape, store, step)?;
    let gradients = bench.gradients(&prepare)?;
    let recorded = bench.record(&plan, &prepare)?;
    bench.restore()?;
    let reference = Reference::new(tape, step, &plan, &recorded)?;
    let mut checks =
        vec![compare_values("(the loss itself)", tape, &reference, &recorded, |v| tape.losses.contains(&v))];
    checks.push(compare_values("(all values)", tape, &reference, &recorded, |_| true));
    let terms = f64::from(f32::EPSILON) * recorded.largest_term.clamp(TERMS[0], TERMS[1]);
    for (number, (v, param)) in measure::parameters(tape).into_iter().enumerate() {
        let chosen = choose(&gradients[number], tape.shape(v)[1], tape.params.list()[param].kind, cells);
        let differences = reference.differences(v, &chosen);
        checks.push(compare(tape, v, &gradients[number], &differences, &recorded.gradient_noise[number], terms));
    }
    let held = plan.held.iter().map(|(v, why)| Held { value: tape.name(*v), why }).collect();
    Ok(GradCheck { parameters: checks, held })
}

/// The device's values against the reference's, each over its own scale.
fn compare_values(
    name: &str,
    tape: &Tape,
    reference: &Reference<'_>,
    recorded: &Recorded,
    which: impl Fn(Var) -> bool,
) -> ParamCheck {
    let mut check = ParamCheck { parameter: name.into(), cells: 0, skipped: 0, error: 0.0, fault: None };
    for (v, got) in recorded.values.iter().filter(|(v, _)| which(**v)) {
        let want = &reference.values[v];
        let scale = want.iter().map(|x| x.abs()).fold(0.0, largest);
        let terms = f64::from(f32::EPSILON) * reference.size;
        let scale = scale + ROUNDINGS * (recorded.value_noise[v] + terms) / TOLERANCE;
        check.cells += got.len();
        if !recorded.value_noise[v].is_finite() {
            let what = "is not a number, there or once the parameters are moved by rounding";
            check.take(f64::INFINITY, || format!("{} {what}", tape.name(*v)));
        }
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            check.take(over(g - w, scale), || format!("{} cell {i} is {g:e}, the reference says {w:e}", tape.name(*v)));
        }
    }
    check
}

/// The noise of a cell that was lucky in few runs: that of the quietest quarter of the cells that have a gradient. Kinks are louder.
fn quiet(gradient: &[f64], noise: &[f64]) -> f64 {
    let mut touched: Vec<f64> =
        gradient.iter().zip(noise).filter(|(g, n)| **g != 0.0 || **n != 0.0).map(|(_, n)| *n).collect();
    touched.sort_by(f64::total_cmp);
    touched.get(touched.len().saturating_sub(1) / 4).copied().unwrap_or(0.0)
}

/// A parameter's gradient against its differences. `noise` is by cell, `terms` the rounding of what the cells are sums of.
fn compare(tape: &Tape, v: Var, gradient: &[f64], differences: &[Difference], noise: &[f64], terms: f64) -> ParamCheck {
    let cols = tape.shape(v)[1];
    let place = |cell: usize| format!("cell [{}, {}]", cell / cols, cell % cols);
    let parameter = tape.param_name(v);
    let mut check = ParamCheck { parameter, cells: differences.len(), skipped: 0, error: 0.0, fault: None };
    if let Some((cell, g)) = gradient.iter().enumerate().find(|(_, g)| !g.is_finite()) {
        check.take(f64::INFINITY, || format!("{}: the gradient is {g}", place(cell)));
    }
    if !noise.iter().all(|n| n.is_finite()) {
        check.take(f64::INFINITY, || "the gradient is not a number once the parameters are moved by rounding".into());
    }
    let largest_difference = differences.iter().map(|d| d.value.abs()).fold(0.0, largest);
    let quiet = quiet(gradient, noise);
    let mut kinks = 0;
    for d in differences {
        let (g, own) = (gradient[d.cell], noise[d.cell]);
        let size = d.value.abs().max(SMALLEST * largest_difference);
        // Gradients that are zero but for the rounding of their terms are compared: they have to be zero.
        let noisy = own > NOISY * size.max(g.abs()) && own > ROUNDINGS * terms;
        let scale = size + ROUNDINGS * (own.max(quiet) + terms) / TOLERANCE;
        if !d.value.is_finite() {
            check.take(f64::INFINITY, || format!("{}: the difference is {}", place(d.cell), d.value));
        } else if d.settled {
            check.skipped += usize::from(noisy);
            check.take(over(g - d.value, scale + d.error / TOLERANCE), || {
                format!("{}: the gradient is {g:e}, the difference {:e}", place(d.cell), d.value)
            });
        } else {
            kinks += 1;
        }
    }
    check.skipped += kinks;
    if kinks > check.cells / 2 && check.fault.is_none() {
        check.fault = Some(format!("{kinks} of {} differences come to no value: they lie on kinks", check.cells));
        check.error = f64::INFINITY;
    }
    check
}

/// An error over a scale; infinite for what is not a number.
fn over(error: f64, scale: f64) -> f64 {
    let error = error.abs() / scale.max(f64::MIN_POSITIVE);
    if error.is_finite() { error } else { f64::INFINITY }
}

impl ParamCheck {
    /// Takes the error of a cell in.
    fn take(&mut self, error: f64, what: impl FnOnce() -> String) {
        if error > self.error {
            self.error = error;
            if error > TOLERANCE {
                self.fault = Some(what());
            }
        }
    }
}

/// Up to `cells` cells: for tables, of rows that have a gradient first, then others; never row 0, which stays zero.
fn choose(gradient: &[f64], cols: usize, kind: ParamKind, cells: usize) -> Vec<usize> {
    let start = if kind == ParamKind::Table { cols } else { 0 };
    let all = || start..gradient.len();
    if all().len() <= cells {
        return all().collect();
    }
    let (touched, rest): (Vec<usize>, Vec<usize>) = all().partition(|i| gradient[*i] != 0.0);
    let spread = |list: &[usize], n: usize| {
        let step = list.len().div_ceil(n.max(1)).max(1);
        list.iter().copied().step_by(step).collect::<Vec<_>>()
    };
    let mut chosen = spread(&touched, cells.saturating_sub(cells / 8));
    chosen.extend(spread(&rest, cells / 8 + 1));
    chosen
}

/// Builds of one op: (variant, tape, loss).
type Case = (String, Tape, Var);

/// Checks every op on a device.
///
/// # Errors
///
/// Whatever recording, compiling and running give.
pub fn check_ops(device: &Device, seed: u64) -> Result<Vec<OpCheck>> {
    let mut checks = Vec::new();
    for name in Op::NAMES {
        for (variant, mut tape, loss) in cases(name, seed)? {
            if !tape.has_op(name) {
                return Err(Error::NoGradient(format!("the case `{variant}` does not contain the op `{name}`")));
            }
            tape.backward(loss)?;
            let store = Store::new(device, tape.params(), seed)?;
            let step = Step::new(3, seed, 0, 5);
            let check = check_gradients(&tape, &store, &step, 40, |_| Ok(()))?;
            checks.push(OpCheck { op: variant, check });
        }
    }
    Ok(checks)
}

/// A tape for each variant of an op. Sizes divide nothing.
fn cases(name: &str, seed: u64) -> Result<Vec<Case>> {
    const N: usize = 7;
    const D: usize = 5;
    let normal = Init::Normal(0.7);
    let mut out = Vec::new();
    let mut add = |variant: &str, record: &dyn Fn(&mut Tape) -> Result<Var>| -> Result<()> {
        let mut tape = Tape::new();
        let rows = record(&mut tape)?;
        let loss = tape.sum(rows)?;
        let variant = if variant.is_empty() { name.to_owned() } else { format!("{name} ({variant})") };
        out.push((variant, tape, loss));
        Ok(())
    };
    let fixed = |t: &mut Tape, rows: usize, cols: usize, number: u32| {
        t.constant(&philox::uniform(seed, 1000 + number, rows * cols, 1.0), rows, cols)
    };
    let weigh = |t: &mut Tape, y: Var| {
        let [rows, cols] = t.shape(y);
        let c = fixed(t, rows, cols, 1)?;
        t.group_dot(y, c, 1.0)
    };
    let weight = |t: &mut Tape| t.constant(&[0.3, 0.1, 0.2, 0.0, 0.25, 0.1, 0.05], N, 1);
    let ids = [3u32, 1, 3, 0, 4, 3, 2];
    match name {
        "activation" => {
            for (what, f) in [("relu", Activation::Relu), ("tanh", Activation::Tanh), ("sigmoid", Activation::Sigmoid)]
            {
                add(what, &|t| {
                    let x = t.param("x", [N, D], normal)?;
                    let y = t.activation(x, f)?;
                    weigh(t, y)
                })?;
            }
        }
        "add" => add("", &|t| {
            let (a, b) = (t.param("a", [N, D], normal)?, t.param("b", [N, D], normal)?);
            let ab = t.add(a, b)?;
            let twice = t.add(ab, a)?;
            weigh(t, twice)
        })?,
        "scale" => add("", &|t| {
            let x = t.param("x", [N, D], normal)?;
            let y = t.scale(x, -1.7)?;
            weigh(t, y)
        })?,
        "scale_by_exp" => add("", &|t| {
            let (x, s) = (t.param("x", [N, D], normal)?, t.param("s", [1, 1], Init::Constant(0.7))?);
            let y = t.scale_by_exp(x, s)?;
            weigh(t, y)
        })?,
        "sum" => add("", &|t| t.param("x", [N, 1], normal))?,
        "concat" => add("", &|t| {
            let (a, b) = (t.param("a", [N, 2], normal)?, t.param("b", [N, 3], normal)?);
            let b2 = t.scale(b, 0.5)?;
            let inner = t.concat(&[a, b2])?;
            let whole = t.concat(&[b2, inner, a])?;
            weigh(t, whole)
        })?,
        "concat_rows" => add("", &|t| {
            let (a, b) = (t.param("a", [4, D], normal)?, t.param("b", [3, D], normal)?);
            let b2 = t.scale(b, 0.5)?;
            let kept = fixed(t, 2, D, 4)?;
            let inner = t.concat_rows(&[a, b2])?;
            let whole = t.concat_rows(&[b2, kept, inner, a])?;
            weigh(t, whole)
        })?,
        "dropout" => add("", &|t| {
            let x = t.param("x", [N, D], normal)?;
            let y = t.dropout(x, 0.4, 0)?;
            weigh(t, y)
        })?,
        "gather" => add("", &|t| {
            let table = t.table("table", 6, D, normal)?;
            let ids = t.constant_ids(&ids, N, 1)?;
            let y = t.gather(table, ids)?;
            weigh(t, y)
        })?,
        "bag" => {
            for (what, mean, windows, masked, zones, holed) in [
                ("mean", true, vec![50], false, false, false),
                ("sum", false, vec![2, 3], false, false, false),
                ("mean, three windows, masked, shared table", true, vec![1, 3, usize::MAX], true, false, false),
                ("mean, three zones, masked, shared table", true, vec![1, 3, usize::MAX], true, true, false),
                ("sum, two zones", false, vec![2, 5], false, true, false),
                ("mean, three windows, holes", true, vec![1, 3, 8], false, false, true),
                ("mean, three zones, masked, holes", true, vec![1, 3, usize::MAX], true, true, true),
            ] {
                add(what, &|t| {
                    let table = t.table("table", 6, D, normal)?;
                    let items = t.constant_ids(&[1, 2, 2, 5, 0, 3, 1, 4, 5], 9, 1)?;
                    let slices = [0u32, 4, 1, 7, 8, 1, 3, 0, 2, 5, 0, 9, 4, 1];
                    let slice = t.constant_ids(&slices, N, 2)?;
                    let mask = masked.then(|| t.history_mask(N, 1, 0.3, 0)).transpose()?;
                    // The newest, inside, the only one, of nothing, at a window's edge, the oldest, past the slice.
                    let hole = holed.then(|| t.constant_ids(&[3, 5, 8, 0, 3, 0, 5], N, 1)).transpose()?;
                    let options = BagOptions { windows: windows.clone(), mean, zones, max_len: 9, mask, hole };
                    let y = t.bag(table, items, slice, &options)?;
                    let ids = t.constant_ids(&ids, N, 1)?;
                    let z = t.gather(table, ids)?;
                    let both = t.concat(&[y, z])?;
                    weigh(t, both)
                })?;
            }
        }
        "linear" => {
            let all = [Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid];
            for f in all {
                add(&format!("{f:?}, bias, skip").to_lowercase(), &|t| {
                    let (x, w) = (t.param("x", [N, D], normal)?, t.param("w", [D, 3], normal)?);
                    let (b, s) = (t.param("bias", [1, 3], normal)?, t.param("skip", [D, 3], normal)?);
                    let skip = t.linear(x, s, None, None, Activation::None)?;
                    let y = t.linear(x, w, Some(b), Some(skip), f)?;
                    weigh(t, y)
                })?;
            }
        }
        "product" => add("", &|t| {
            let (x, w) = (t.param("x", [N, D], normal)?, t.param("w", [3, D], normal)?);
            let y = t.product(x, w)?;
            weigh(t, y)
        })?,
        "prelu" => add("", &|t| {
            let (x, slope) = (t.param("x", [N, D], normal)?, t.param("slope", [1, D], Init::Constant(0.25))?);
            let y = t.prelu(x, slope)?;
            weigh(t, y)
        })?,
        "l2_normalize" => add("", &|t| {
            let x = t.param("x", [N, D], normal)?;
            let y = t.l2_normalize(x)?;
            weigh(t, y)
        })?,
        "layer_norm" => add("", &|t| {
            let x = t.param("x", [N, D], normal)?;
            let (gain, bias) = (t.param("gain", [1, D], normal)?, t.param("bias", [1, D], normal)?);
            let y = t.layer_norm(x, gain, bias)?;
            weigh(t, y)
        })?,
        "batch_norm" => add("a row of padding", &|t| {
            let x = t.param("x", [N, D], normal)?;
            let (gain, bias) = (t.param("gain", [1, D], normal)?, t.param("bias", [1, D], normal)?);
            let rows = weight(t)?;
            let y = t.batch_norm(x, gain, bias, Some(rows), "norm")?;
            weigh(t, y)
        })?,
        "gelu" => add("", &|t| {
            let x = t.param("x", [N, D], Init::Normal(2.0))?;
            let y = t.gelu(x)?;
            weigh(t, y)
        })?,
        "field_mean" => add("", &|t| {
            let x = t.param("x", [N, D], normal)?;
            let y = t.field_mean(x, &[1, 3, 1])?;
            weigh(t, y)
        })?,
        "field_scale" => add("", &|t| {
            let (x, factors) = (t.param("x", [N, D], normal)?, t.param("factors", [N, 3], normal)?);
            let y = t.field_scale(x, factors, &[1, 3, 1])?;
            weigh(t, y)
        })?,
        "group_dot" => add("", &|t| {
            let (u, v) = (t.param("u", [N, D], normal)?, t.param("v", [3 * N, D], normal)?);
            let z = t.group_dot(u, v, 1.3)?;
            weigh(t, z)
        })?,
        "bce" => {
            add("first column positive", &|t| {
                let (z, w) = (t.param("z", [N, 4], Init::Normal(3.0))?, weight(t)?);
                t.bce_with_logits(z, w, None)
            })?;
            add("first column positive, masked", &|t| {
                let (z, w) = (t.param("z", [N, 4], Init::Normal(3.0))?, weight(t)?);
                let list: Vec<u32> = (0..28u32).map(|i| i * i % 5 + 1).collect();
                let ids = t.constant_ids(&list, N, 4)?;
                t.bce_masked(z, w, ids)
            })?;
            add("labels", &|t| {
                let (z, w) = (t.param("z", [N, 1], Init::Normal(3.0))?, weight(t)?);
                let labels = t.constant(&[1.0, 0.0, 0.0, 1.0, 0.5, 0.0, 1.0], N, 1)?;
                t.bce_with_logits(z, w, Some(labels))
            })?;
        }
        "pairwise" => {
            // A margin at which the differences do not fall on the kink.
            for (what, rule) in [("bpr, masked", PairRule::Bpr), ("hinge, masked", PairRule::Hinge { margin: 0.9 })] {
                add(what, &|t| {
                    let (z, w) = (t.param("z", [N, 4], Init::Normal(3.0))?, weight(t)?);
                    let list: Vec<u32> = (0..28u32).map(|i| i * i % 5 + 1).collect();
                    let ids = t.constant_ids(&list, N, 4)?;
                    t.pairwise(z, w, Some(ids), rule)
                })?;
            }
        }
        "list_softmax" => {
            for correct_positive in [false, true] {
                add(if correct_positive { "logQ all, masked, smoothed" } else { "logQ negatives, masked" }, &|t| {
                    let (z, w) = (t.param("z", [N, 4], Init::Normal(2.0))?, weight(t)?);
                    let list: Vec<u32> = (0..28u32).map(|i| i * i % 5 + 1).collect();
                    let ids = t.constant_ids(&list, N, 4)?;
                    let logq = fixed(t, N, 4, 2)?;
                    let smoothing = if correct_positive { 0.2 } else { 0.0 };
                    t.list_softmax(z, w, Some(ids), Some(logq), correct_positive, smoothing)
                })?;
            }
        }
        "softmax_loss" => {
            for (what, kind, correct_positive, smoothing) in [
                ("in-batch, logQ negatives, masked", 0, false, 0.0),
                ("in-batch, logQ all, masked", 0, true, 0.0),
                ("labels, whole catalogue", 1, false, 0.0),
                ("own positive, shared negatives", 2, false, 0.0),
                ("own positive, logQ all", 2, true, 0.0),
                ("in-batch, smoothed, masked by bits", 0, false, 0.1),
                ("labels, smoothed, masked by bits", 1, false, 0.3),
                ("own positive, smoothed, masked by bits", 2, true, 0.2),
                ("in-batch, the second to fourth hardest", 0, false, 0.0),
                ("own positive, the second to fourth hardest of what bits leave", 2, false, 0.1),
            ] {
                add(what, &|t| {
                    let candidates = if kind == 0 { N } else { 11 };
                    let users = t.param("users", [N, D], normal)?;
                    let vectors = t.param("items", [candidates, D], normal)?;
                    let targets = t.constant_ids(&ids, N, 1)?;
                    let list: Vec<u32> = if kind == 0 { ids.to_vec() } else { (0..11u32).map(|i| i % 6).collect() };
                    let ids = t.constant_ids(&list, candidates, 1)?;
                    let mut logq = philox::uniform(seed, 77, candidates, 1.0);
                    logq[candidates - 1] = 1e30; // padding
                    let logq = t.constant(&logq, candidates, 1)?;
                    let positive = match kind {
                        0 => PositiveVar::Diagonal,
                        1 => PositiveVar::Label(t.constant_ids(&[0, 9, 2, 2, 5, 4, 1], N, 1)?),
                        _ => {
                            let vectors = t.param("own", [N, D], normal)?;
                            PositiveVar::Own { vectors, logq: Some(fixed(t, N, 1, 3)?) }
                        }
                    };
                    let weight = weight(t)?;
                    // Bit 1 of the rows' third is the positive of one of them: it stays.
                    let bits = [0x0a5, 0, 0x7ff, 0x412, 1, 0x333, 0x080];
                    let mask = if smoothing > 0.0 { Some(t.constant_ids(&bits, N, 1)?) } else { None };
                    let mut spec = SoftmaxSpec {
                        users,
                        weight,
                        candidates: Negatives { vectors, logq: Some(logq), ids: Some(ids) },
                        positive,
                        mask_hits: (kind != 1).then_some(targets),
                        scale: 2.5,
                        correct_positive,
                        smoothing,
                        mask,
                    };
                    if what.contains("hardest") {
                        spec.mask = Some(t.hard_mask(&spec, 2, 3)?);
                    }
                    t.softmax_loss(&spec)
                })?;
            }
        }
        "max_pool" | "history_weights" | "weighted_pool" => {
            for (variant, record) in history::cases(name, seed) {
                add(variant, &*record)?;
            }
        }
        "view" | "reshape" | "take" | "weigh" | "stop_gradient" => {
            for case in crate::ops::cases(name, seed) {
                add(case.variant, &*case.record)?;
            }
        }
        _ => {
            return Err(Error::NoGradient(format!("the op `{name}` has no gradient check")));
        }
    }
    Ok(out)
}
