//! Gradients checked against central differences of the f64 reference.
//!
//! The differences are taken of the reference, not of the kernels, so that they are good to nine digits; the kernels'
//! gradient is held against them.

mod history;

use crate::ops::{BagOptions, Negatives, Op, PositiveVar, SoftmaxSpec};
use crate::params::{Init, ParamKind};
use crate::reference::Env;
use crate::store::Store;
use crate::tape::{Kind, Phase, Tape, Var};
use crate::{Error, Result};
use rt_kernels::kernels::{Activation, PairRule, SegmentSum};
use rt_kernels::{Device, Dtype, Step, philox};
use std::collections::BTreeMap;

/// How one parameter's gradient compares.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamCheck {
    /// The parameter.
    pub parameter: String,
    /// Cells that were compared.
    pub cells: usize,
    /// The largest |gradient - difference| over the largest |difference| of the parameter.
    pub error: f64,
}

/// How one op's gradients compare.
#[derive(Debug, Clone, PartialEq)]
pub struct OpCheck {
    /// The op, and the variant of it.
    pub op: String,
    /// Its parameters.
    pub parameters: Vec<ParamCheck>,
}

/// Largest error that passes: f32 kernels against f64 differences.
pub const TOLERANCE: f64 = 2e-4;

impl OpCheck {
    /// The worst of its parameters.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.parameters.iter().map(|p| p.error).fold(0.0, f64::max)
    }
}

/// Compares the gradients of a tape that has [`Tape::backward`] recorded (and no optimiser) with central differences.
/// At most `cells` cells of each parameter are taken. `prepare` writes the program's inputs.
///
/// # Errors
///
/// [`Error::NoGradient`] before `backward`; whatever compiling and running give.
pub fn check_gradients(
    tape: &Tape,
    loss: Var,
    store: &Store,
    step: &Step,
    cells: usize,
    prepare: impl FnOnce(&mut crate::Program) -> Result<()>,
) -> Result<Vec<ParamCheck>> {
    let mut tape = tape.clone();
    tape.phase = Some(Phase::Backward);
    let mut row_vars = Vec::new();
    if let Some(rows) = tape.row_grads.clone() {
        let sources: Vec<Var> = rows.tables.iter().map(|t| t.source).collect();
        let segments = tape.segments(&rows, &sources)?;
        for (t, segment) in rows.tables.iter().zip(segments) {
            let dim = tape.shape(t.table)[1];
            let out = tape.temp(t.capacity, dim);
            let kernel = SegmentSum { rows: t.capacity, entries: t.entries, dim };
            tape.push(kernel, segment.reads(&rows, t.source), vec![Some(out)], None)?;
            row_vars.push(out);
        }
    } else if tape.dense_grads.is_none() {
        return Err(Error::NoGradient("record `backward` before checking".into()));
    }
    // Everything that the reference does not compute itself: integers, and floats of nodes without an op.
    let made_by_op = |v: &Var| {
        tape.nodes.iter().any(|n| n.op.is_some() && n.phase == Phase::Forward && n.writes.contains(&Some(*v)))
    };
    let used = |v: &Var| tape.nodes.iter().any(|n| n.phase == Phase::Forward && n.reads.contains(&Some(*v)));
    let given: Vec<Var> = tape
        .vars()
        .filter(|v| {
            let value = &tape.values[v.0 as usize];
            value.param.is_none() && value.kind != Kind::Arena && used(v) && !made_by_op(v)
        })
        .collect();
    let mut keep = given.clone();
    keep.push(loss);
    keep.extend(&row_vars);
    if let Some(rows) = &tape.row_grads {
        keep.extend([rows.keys, rows.first]);
    }
    keep.extend(tape.dense_grads);
    let mut program = tape.compile_keeping(store, &keep)?;
    prepare(&mut program)?;
    program.run(step)?;
    let (mut floats, mut ints) = (BTreeMap::new(), BTreeMap::new());
    for v in given {
        let words = program.read_u32(&format!("%{}", v.0))?;
        match tape.dtype(v) {
            Dtype::U32 => drop(ints.insert(v, words)),
            Dtype::F32 => drop(floats.insert(v, words.iter().map(|w| f64::from(f32::from_bits(*w))).collect())),
        }
    }
    let mut params: Vec<(Var, usize)> = Vec::new();
    for v in tape.vars() {
        if let Some(param) = tape.values[v.0 as usize].param {
            let values = store.get(&tape.params.list()[param].name)?;
            floats.insert(v, values.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
            params.push((v, param));
        }
    }
    let mut env = Env::new(&tape, step, floats.clone(), &ints);
    let value = env.loss(loss);
    let got = f64::from(program.read_f32(&format!("%{}", loss.0))?[0]);
    let mut checks = vec![ParamCheck {
        parameter: "(the loss itself)".into(),
        cells: 1,
        error: (got - value).abs() / value.abs().max(1e-3),
    }];
    for (v, param) in params {
        let gradient = gradient_of(&tape, &program, v, param, &row_vars)?;
        let differ = |cell: usize| {
            let x = floats[&v][cell];
            let h = 1e-5 * x.abs().max(1.0);
            let at = |x: f64| {
                let mut moved = floats.clone();
                if let Some(values) = moved.get_mut(&v) {
                    values[cell] = x;
                }
                Env::new(&tape, step, moved, &ints).loss(loss)
            };
            (at(x + h) - at(x - h)) / (2.0 * h)
        };
        let mut pairs = Vec::new();
        for cell in choose(&gradient, tape.shape(v)[1], tape.params.list()[param].kind, cells) {
            pairs.push((gradient[cell], differ(cell)));
        }
        let scale = pairs.iter().map(|(_, d)| d.abs()).fold(1e-6, f64::max);
        let error = pairs.iter().map(|(g, d)| if g.is_finite() { (g - d).abs() / scale } else { f64::MAX });
        let error = error.fold(0.0, f64::max);
        checks.push(ParamCheck { parameter: tape.param_name(v), cells: pairs.len(), error });
    }
    Ok(checks)
}

/// The program's gradient of a parameter, dense.
fn gradient_of(tape: &Tape, program: &crate::Program, v: Var, param: usize, row_vars: &[Var]) -> Result<Vec<f64>> {
    let [rows, cols] = tape.shape(v);
    let mut gradient = vec![0.0; rows * cols];
    let declared = &tape.params.list()[param];
    if declared.kind == ParamKind::Dense {
        if let Some(arena) = tape.dense_grads {
            let all = program.read_f32(&format!("%{}", arena.0))?;
            for (g, x) in gradient.iter_mut().zip(&all[declared.offset..]) {
                *g = f64::from(*x);
            }
        }
        return Ok(gradient);
    }
    let Some(grads) = &tape.row_grads else {
        return Ok(gradient);
    };
    let keys = program.read_u32(&format!("%{}", grads.keys.0))?;
    let first = program.read_u32(&format!("%{}", grads.first.0))?;
    for (number, t) in grads.tables.iter().enumerate().filter(|(_, t)| t.table == v) {
        let sums = program.read_f32(&format!("%{}", row_vars[number].0))?;
        for (k, key) in keys[first[number] as usize..first[number + 1] as usize].iter().enumerate() {
            let id = (key - t.base) as usize;
            for c in 0..cols {
                gradient[id * cols + c] = f64::from(sums[k * cols + c]);
            }
        }
    }
    Ok(gradient)
}

/// Up to `cells` cells: for tables, of rows that have a gradient first, then others; never row 0, which stays zero.
fn choose(gradient: &[f64], cols: usize, kind: ParamKind, cells: usize) -> Vec<usize> {
    let start = if kind == ParamKind::Table { cols } else { 0 };
    let all = || start..gradient.len();
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
            let covered = tape.nodes.iter().any(|n| n.op.as_ref().is_some_and(|op| op.name() == *name));
            if !covered {
                return Err(Error::NoGradient(format!("the case `{variant}` does not contain the op `{name}`")));
            }
            tape.backward(loss)?;
            let store = Store::new(device, tape.params(), seed)?;
            let step = Step::new(3, seed, 0, 5);
            let parameters = check_gradients(&tape, loss, &store, &step, 40, |_| Ok(()))?;
            checks.push(OpCheck { op: variant, parameters });
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
            for (what, mean, windows, masked, zones) in [
                ("mean", true, vec![50], false, false),
                ("sum", false, vec![2, 3], false, false),
                ("mean, three windows, masked, shared table", true, vec![1, 3, usize::MAX], true, false),
                ("mean, three zones, masked, shared table", true, vec![1, 3, usize::MAX], true, true),
                ("sum, two zones", false, vec![2, 5], false, true),
            ] {
                add(what, &|t| {
                    let table = t.table("table", 6, D, normal)?;
                    let items = t.constant_ids(&[1, 2, 2, 5, 0, 3, 1, 4, 5], 9, 1)?;
                    let slices = [0u32, 4, 1, 7, 8, 1, 3, 0, 2, 5, 0, 9, 4, 1];
                    let slice = t.constant_ids(&slices, N, 2)?;
                    let mask = masked.then(|| t.history_mask(N, 1, 0.3, 0)).transpose()?;
                    let options = BagOptions { windows: windows.clone(), mean, zones, max_len: 9, mask, hole: None };
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
        _ => {
            return Err(Error::NoGradient(format!("the op `{name}` has no gradient check")));
        }
    }
    Ok(out)
}
