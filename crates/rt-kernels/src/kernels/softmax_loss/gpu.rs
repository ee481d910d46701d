//! The GPU's dispatches: the positives' logits, a running log-sum-exp over candidate tiles, the losses, then each gradient
//! from logits made again. A walk over candidates (or rows) is cut into parts where there are few rows, by shape alone.

use super::{Positive, SoftmaxLoss};
use crate::kernels::cells::places;
use crate::{Binding, Dispatch, MOST_ITERATIONS, Operand, Operands, Variant};

/// What differs between the variants.
struct Form {
    lse: &'static str,
    gradient: &'static str,
    /// Rows (or candidates) of a workgroup.
    rows: usize,
    /// Columns of a workgroup's gradients.
    columns: usize,
    /// A part is a multiple of this.
    step: usize,
    /// Iterations for that many.
    walk: usize,
    /// Workgroups that keep the device busy.
    groups: usize,
    constants: Vec<(&'static str, f64)>,
}

/// How a walk is cut: parts, and their length.
#[derive(Clone, Copy)]
struct Cut {
    parts: usize,
    span: usize,
}

/// Iterations of a dispatch besides its walk.
const AROUND: usize = 512;
/// Most parts of a walk, but for one that a driver would not finish.
const PARTS: usize = 8;
/// Widest vectors that the subgroup variant holds in registers.
const WIDEST: usize = 64;

impl SoftmaxLoss {
    /// The subgroup variant holds whole rows, of a few fixed widths.
    pub(super) fn gpu_variants(&self) -> Vec<Variant> {
        if (1..=WIDEST).contains(&self.dim) { vec![Variant::Subgroup] } else { vec![] }
    }

    fn form(&self, variant: Variant) -> Form {
        match variant {
            Variant::Subgroup => Form {
                lse: "softmax_lse_subgroup",
                gradient: "softmax_gradient_subgroup",
                rows: 32,
                columns: WIDEST,
                step: 8,
                walk: 10,
                groups: 32,
                constants: vec![(
                    "COLUMNS",
                    if self.dim <= 16 {
                        16.0
                    } else if self.dim <= 32 {
                        32.0
                    } else {
                        64.0
                    },
                )],
            },
            Variant::Portable | Variant::Vec4 | Variant::Wide | Variant::F16 => Form {
                lse: "softmax_lse",
                gradient: "softmax_gradient",
                rows: 64,
                columns: 64,
                step: 64,
                // Tiles of 16 columns for the products, four of 16 rows for the gradient, and what stands around them.
                walk: 18 * self.dim.div_ceil(16) + 18 * 4 + 40,
                groups: 256,
                constants: vec![],
            },
        }
    }

    fn lse_cut(&self, form: &Form) -> Cut {
        form.cut(self.rows.div_ceil(form.rows), self.candidates)
    }

    fn gradient_cut(&self, form: &Form, transposed: bool) -> Cut {
        let (count, other) = if transposed { (self.candidates, self.rows) } else { (self.rows, self.candidates) };
        form.cut(count.div_ceil(form.rows) * self.dim.div_ceil(form.columns), other)
    }

    /// Six words a row; (maximum, sum), with smoothing (sum and number of logits) too, of each row and part; the parts of a
    /// gradient. Enough for every variant.
    pub(super) fn gpu_scratch(&self) -> Vec<usize> {
        let width = if self.smoothing > 0.0 { 4 } else { 2 };
        let mut words = vec![self.rows * 6, 0, 0];
        for variant in self.gpu_variants().into_iter().chain([Variant::Portable]) {
            let form = self.form(variant);
            words[1] = words[1].max(self.lse_cut(&form).parts * self.rows * width);
            for (transposed, count) in [(false, self.rows), (true, self.candidates)] {
                let parts = self.gradient_cut(&form, transposed).parts;
                words[2] = words[2].max(if parts > 1 { parts * count * self.dim } else { 0 });
            }
        }
        words
    }

    pub(super) fn gpu_dispatches(&self, operands: &Operands, variant: Variant) -> Vec<Dispatch> {
        let [u, v, weight, logq, ids, targets, label, own, own_logq, mask] =
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|i| operands.reads[i]);
        let [loss, du, dv, down] = [0, 1, 2, 3].map(|i| operands.writes[i]);
        // (logit of the positive, its candidate or none, log-sum-exp, weight, share of the smoothing, id) of each row.
        let [info, partial, gradients] = [0, 1, 2].map(|i| operands.scratch[i].buffer);
        let form = self.form(variant);
        let masked = self.mask_hits && ids.is_some() && targets.is_some();
        let (ids, targets) = if masked { (ids, targets) } else { (None, None) };
        let flags = u32::from(logq.is_some())
            | u32::from(masked) << 1
            | u32::from(self.correct_positive) << 2
            | u32::from(own_logq.is_some()) << 3
            | u32::from(mask.is_some()) << 4;
        let sizes = [self.rows, self.candidates, self.dim].map(|x| x as u32);
        let head = [&sizes[..], &[self.scale.to_bits(), flags, self.smoothing.to_bits()]].concat();
        let smoothed = ("SMOOTHED", f64::from(self.smoothing > 0.0));
        let dispatch =
            |shader, constants: &[(&'static str, f64)], cut: &[usize], list: &[Option<Operand>], bindings| {
                let mut params = head.clone();
                params.extend(cut.iter().map(|x| *x as u32));
                params.extend(places(list));
                Dispatch {
                    shader,
                    constants: constants.to_vec(),
                    params,
                    step: false,
                    bindings,
                    workgroups: 0,
                    iterations: 0,
                }
            };
        let read = |list: &[Option<Operand>]| list.iter().map(|o| Binding::read(*o)).collect::<Vec<_>>();
        let kind = match self.positive {
            Positive::Diagonal => 0.0,
            Positive::Label => 1.0,
            Positive::Own => 2.0,
        };
        let mut list = Vec::new();
        let whose = if self.positive == Positive::Own { [own, own_logq] } else { [v, logq] };
        let positive = [u, whose[0], whose[1], label, targets];
        let mut bindings = read(&positive);
        bindings.push(Binding::Write(info));
        let one = dispatch("softmax_positive", &[("POSITIVE", kind)], &[], &positive, bindings);
        list.push(Dispatch { workgroups: self.rows.div_ceil(64), iterations: self.dim + 1, ..one });

        let Cut { parts, span } = self.lse_cut(&form);
        let pairs = [u, v, logq, ids, mask];
        let mut bindings = read(&pairs);
        bindings.extend([Binding::Read(info), Binding::Write(partial)]);
        let constants = [vec![smoothed], form.constants.clone()].concat();
        let one = dispatch(form.lse, &constants, &[parts, span], &pairs, bindings);
        let (workgroups, iterations) = (self.rows.div_ceil(form.rows) * parts, form.iterations(span));
        list.push(Dispatch { workgroups, iterations, ..one });

        let bindings = vec![Binding::read(weight), Binding::Read(partial), Binding::Write(info), Binding::write(loss)];
        let constants = [smoothed, ("POSITIVE", kind)];
        let one = dispatch("softmax_rows", &constants, &[parts], &[weight, loss], bindings);
        list.push(Dispatch { workgroups: self.rows.div_ceil(64), iterations: 3 * parts + 3, ..one });

        for (out, transposed) in [(du, false), (dv, true)] {
            let Some(out) = out else { continue };
            let (a, b, count) = if transposed { (v, u, self.candidates) } else { (u, v, self.rows) };
            let Cut { parts, span } = self.gradient_cut(&form, transposed);
            let whole = Operand::dense(gradients, parts * count, self.dim);
            let to = if parts > 1 { whole } else { out };
            let mut bindings = read(&[a, b, logq, ids, mask]);
            bindings.extend([Binding::Read(info), Binding::Write(to.buffer)]);
            let constants = [vec![("TRANSPOSED", f64::from(transposed))], form.constants.clone()].concat();
            let places = [a, b, logq, ids, mask, Some(to)];
            let one = dispatch(form.gradient, &constants, &[parts, span, count * self.dim], &places, bindings);
            let tiles = count.div_ceil(form.rows) * self.dim.div_ceil(form.columns);
            list.push(Dispatch { workgroups: tiles * parts, iterations: form.iterations(span), ..one });
            if parts > 1 {
                list.push(self.sum(whole, out, count, parts));
            }
        }
        if self.positive == Positive::Own && (du.is_some() || down.is_some()) {
            let places = [u, own, du, down];
            let bindings = vec![
                Binding::read(u),
                Binding::read(own),
                Binding::Read(info),
                Binding::write(du),
                Binding::write(down),
            ];
            let wanted = f64::from(u32::from(du.is_some()) | u32::from(down.is_some()) << 1);
            let one = dispatch("softmax_own", &[("WANTED", wanted)], &[], &places, bindings);
            list.push(Dispatch { workgroups: (self.rows * self.dim).div_ceil(64), ..one });
        }
        list
    }

    /// The parts of a gradient, added in order.
    fn sum(&self, whole: Operand, out: Operand, count: usize, parts: usize) -> Dispatch {
        let params = [count, self.dim, parts, 0, 0, 0, out.offset, out.stride];
        Dispatch {
            shader: "gemm_sum",
            constants: vec![],
            params: params.map(|x| x as u32).to_vec(),
            step: false,
            bindings: vec![Binding::Read(whole.buffer), Binding::NoRead, Binding::NoRead, Binding::Write(out.buffer)],
            workgroups: (count * self.dim).div_ceil(64),
            iterations: parts + 1,
        }
    }
}

impl Form {
    /// Iterations of a walk over `span` others.
    fn iterations(&self, span: usize) -> usize {
        span.div_ceil(self.step) * self.walk + AROUND
    }

    /// Cuts a walk over `others` so that few tiles of output keep a GPU busy too.
    fn cut(&self, tiles: usize, others: usize) -> Cut {
        let walks = others.div_ceil(self.step).max(1);
        let parts = (self.groups / tiles.max(1)).clamp(1, PARTS).min(walks);
        // More where a driver would end the loop.
        let longest = ((MOST_ITERATIONS - AROUND) / self.walk).max(1);
        let parts = parts.max(walks.div_ceil(longest));
        let span = walks.div_ceil(parts);
        Cut { parts: walks.div_ceil(span), span: span * self.step }
    }
}
