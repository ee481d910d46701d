//! The GPU's dispatches: the positives' logits, a running log-sum-exp over candidate tiles, the losses, then each gradient
//! from logits made again.

use super::{Positive, SoftmaxLoss};
use crate::kernels::cells::places;
use crate::{Binding, Dispatch, Operand, Operands};

/// Rows (or candidates, or columns) of a tile.
const TILE: usize = 64;

impl SoftmaxLoss {
    pub(super) fn gpu_dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let [u, v, weight, logq, ids, targets, label, own, own_logq] =
            [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|i| operands.reads[i]);
        let [loss, du, dv, down] = [0, 1, 2, 3].map(|i| operands.writes[i]);
        // (logit of the positive, its candidate or none, log-sum-exp, weight) of each row.
        let info = operands.scratch[0].buffer;
        let masked = self.mask_hits && ids.is_some() && targets.is_some();
        let (ids, targets) = if masked { (ids, targets) } else { (None, None) };
        let flags = u32::from(logq.is_some())
            | u32::from(masked) << 1
            | u32::from(self.correct_positive) << 2
            | u32::from(own_logq.is_some()) << 3;
        let head = [self.rows as u32, self.candidates as u32, self.dim as u32, self.scale.to_bits(), flags];
        let dispatch = |shader, constants: &[(&'static str, f64)], list: &[Option<Operand>], bindings, workgroups| {
            let mut params = head.to_vec();
            params.extend(places(list));
            Dispatch { shader, constants: constants.to_vec(), params, step: false, bindings, workgroups }
        };
        let read = |list: &[Option<Operand>]| list.iter().map(|o| Binding::read(*o)).collect::<Vec<_>>();
        let kind = match self.positive {
            Positive::Diagonal => 0.0,
            Positive::Label => 1.0,
            Positive::Own => 2.0,
        };
        let mut list = Vec::new();
        let positive = [u, v, label, own, logq, own_logq];
        let mut bindings = read(&positive);
        bindings.push(Binding::Write(info));
        list.push(dispatch("softmax_positive", &[("POSITIVE", kind)], &positive, bindings, self.rows.div_ceil(64)));

        let pairs = [u, v, logq, ids, targets];
        let mut bindings = read(&pairs);
        bindings.push(Binding::Write(info));
        list.push(dispatch("softmax_lse", &[], &pairs, bindings, self.rows.div_ceil(TILE)));

        let bindings = vec![Binding::read(weight), Binding::Write(info), Binding::write(loss)];
        list.push(dispatch("softmax_rows", &[], &[weight, loss], bindings, self.rows.div_ceil(64)));

        let columns = self.dim.div_ceil(TILE);
        for (out, transposed) in [(du, false), (dv, true)] {
            let Some(out) = out else { continue };
            let (a, b, count) = if transposed { (v, u, self.candidates) } else { (u, v, self.rows) };
            let mut bindings = read(&[a, b, logq, ids, targets]);
            bindings.extend([Binding::Read(info), Binding::Write(out.buffer)]);
            let constants = [("TRANSPOSED", f64::from(transposed))];
            let places = [a, b, logq, ids, targets, Some(out)];
            list.push(dispatch("softmax_gradient", &constants, &places, bindings, count.div_ceil(TILE) * columns));
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
            let groups = (self.rows * self.dim).div_ceil(64);
            list.push(dispatch("softmax_own", &[("WANTED", wanted)], &places, bindings, groups));
        }
        list
    }
}
