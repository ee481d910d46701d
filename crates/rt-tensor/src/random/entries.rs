//! How each op of the gradient checker's list is drawn.

use super::Maker;
use crate::ops::{BagOptions, Negatives, PositiveVar, SoftmaxSpec};
use crate::tape::Var;
use crate::{Error, Result};
use rt_kernels::kernels::{Activation, PairRule};

impl Maker {
    /// Records one op of this name and puts what it makes into the pool.
    pub(super) fn record(&mut self, name: &str) -> Result<()> {
        let made = match name {
            "activation" | "scale" | "scale_by_exp" | "gelu" | "dropout" | "sum" => self.of_cells(name)?,
            "add" | "concat" | "concat_rows" | "linear" | "product" | "group_dot" => self.of_two(name)?,
            "prelu" | "l2_normalize" | "layer_norm" | "batch_norm" | "field_mean" | "field_scale" => {
                self.of_rows(name)?
            }
            "gather" | "bag" | "max_pool" | "history_weights" | "weighted_pool" => self.of_history(name)?,
            "view" | "reshape" | "take" | "weigh" | "stop_gradient" => self.of_views(name)?,
            "bce" | "pairwise" | "list_softmax" | "softmax_loss" => {
                let rows = self.of_losses(name)?;
                self.loss_rows.push(rows);
                return Ok(());
            }
            _ => return Err(Error::NoGradient(format!("random tapes do not know the op `{name}`"))),
        };
        self.pool.push(made);
        Ok(())
    }

    fn any_activation(&mut self) -> Activation {
        [Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid][self.draws.below(4)]
    }

    fn of_cells(&mut self, name: &str) -> Result<Var> {
        let x = self.any();
        match name {
            "activation" => {
                let f = self.any_activation();
                self.tape.activation(x, f)
            }
            "scale" => {
                let factor = self.draws.between(-1.5, 1.5);
                self.tape.scale(x, factor)
            }
            "scale_by_exp" => {
                let s = self.learned([1, 1])?;
                self.tape.scale_by_exp(x, s)
            }
            "gelu" => self.tape.gelu(x),
            "dropout" => {
                let number = self.number();
                self.tape.dropout(x, 0.35, number)
            }
            // A sum's gradient is a number: it goes to the loss as it is.
            _ => {
                let x = self.operand([self.tape.shape(x)[0], 1])?;
                let sum = self.tape.sum(x)?;
                self.scalars.push(sum);
                Ok(x)
            }
        }
    }

    fn of_two(&mut self, name: &str) -> Result<Var> {
        let x = self.any();
        let [rows, cols] = self.tape.shape(x);
        let twice = self.draws.one_in(5);
        match name {
            "add" => {
                let b = if twice { x } else { self.operand([rows, cols])? };
                let (a, b) = if self.draws.one_in(2) { (x, b) } else { (b, x) };
                self.tape.add(a, b)
            }
            "concat" | "concat_rows" => {
                let beside = name == "concat";
                let mut parts = vec![x];
                for _ in 0..1 + self.draws.below(3) {
                    let other = 1 + self.draws.below(4);
                    let shape = if beside { [rows, other] } else { [other, cols] };
                    let again = parts[self.draws.below(parts.len())];
                    parts.push(if self.draws.one_in(4) { again } else { self.operand(shape)? });
                }
                let first = self.draws.below(parts.len());
                parts.swap(0, first);
                if beside { self.tape.concat(&parts) } else { self.tape.concat_rows(&parts) }
            }
            "linear" => {
                let n = if twice { cols } else { self.widths[self.draws.below(2)] };
                let w = if rows == cols && n == cols && self.draws.one_in(2) { x } else { self.operand([cols, n])? };
                let bias = if self.draws.one_in(2) { Some(self.operand([1, n])?) } else { None };
                let add = match self.draws.below(4) {
                    0 if n == cols => Some(x),
                    1 => Some(self.operand([rows, n])?),
                    _ => None,
                };
                let f = self.any_activation();
                self.tape.linear(x, w, bias, add, f)
            }
            "product" => {
                let n = 1 + self.draws.below(5);
                let w = if twice { x } else { self.operand([n, cols])? };
                self.tape.product(x, w)
            }
            _ => {
                let group = 1 + self.draws.below(3);
                let v = if twice { x } else { self.operand([rows * group, cols])? };
                let scale = self.draws.between(0.4, 1.2);
                self.tape.group_dot(x, v, scale)
            }
        }
    }

    fn of_rows(&mut self, name: &str) -> Result<Var> {
        let x = self.any();
        let [rows, cols] = self.tape.shape(x);
        match name {
            "prelu" => {
                let slope = self.operand([1, cols])?;
                self.tape.prelu(x, slope)
            }
            "l2_normalize" => {
                // A row of zeros has no direction.
                let shift = self.constant(rows, cols)?;
                let x = self.tape.add(x, shift)?;
                self.tape.l2_normalize(x)
            }
            "layer_norm" => {
                let (gain, bias) = (self.operand([1, cols])?, self.operand([1, cols])?);
                self.tape.layer_norm(x, gain, bias)
            }
            "batch_norm" => {
                let (gain, bias) = (self.operand([1, cols])?, self.operand([1, cols])?);
                let (weight, number) = (self.weights(rows)?, self.number());
                self.tape.batch_norm(x, gain, bias, Some(weight), &format!("norm{number}"))
            }
            _ => {
                let mut widths = Vec::new();
                let mut left = cols;
                while left > 0 {
                    widths.push(1 + self.draws.below(left));
                    left -= widths[widths.len() - 1];
                }
                if name == "field_mean" {
                    return self.tape.field_mean(x, &widths);
                }
                let factors = self.operand([rows, widths.len()])?;
                self.tape.field_scale(x, factors, &widths)
            }
        }
    }

    fn of_history(&mut self, name: &str) -> Result<Var> {
        if name == "gather" {
            let n = if self.draws.one_in(3) { 1 + self.draws.below(9) } else { self.rows };
            let width = self.widths[self.draws.below(2)];
            return self.rows_of_table(n, width);
        }
        let (rows, history) = (self.rows, 1 + self.draws.below(5));
        let width = self.widths[self.draws.below(2)];
        // A table that is declared has to be looked up.
        let other = matches!(name, "max_pool" | "weighted_pool") && self.draws.one_in(3);
        let x = if other { Some(self.operand([rows * history, width])?) } else { None };
        let table = if other || name == "history_weights" { None } else { Some(self.table(width)?) };
        let vocab = table.map_or(6, |t| self.tape.shape(t)[0]);
        let items = self.ids(9, 0, vocab)?;
        let mut slices = Vec::new();
        for _ in 0..rows {
            let start = self.draws.below(9);
            slices.extend([start as u32, self.draws.below(1 + history.min(9 - start)) as u32]);
        }
        let slice = self.tape.constant_ids(&slices, rows, 2)?;
        let number = self.number();
        let mask = if self.draws.one_in(2) { Some(self.tape.history_mask(rows, 1, 0.3, number)?) } else { None };
        let hole = if self.draws.one_in(4) { Some(self.ids(rows, 0, 9)?) } else { None };
        let windows = if self.draws.one_in(2) { vec![usize::MAX] } else { vec![1, 3, usize::MAX] };
        let (mean, zones) = (self.draws.one_in(2), self.draws.one_in(2));
        if let Some(table) = table.filter(|_| name == "bag") {
            let options = BagOptions { windows, mean, zones, max_len: history, mask, hole };
            return self.tape.bag(table, items, slice, &options);
        }
        let ids = self.tape.history_ids(items, vocab, slice, history, mask, hole)?;
        let x = match table {
            Some(table) => Some(self.tape.gather(table, ids)?),
            None => x,
        };
        if let Some(x) = x.filter(|_| name == "max_pool") {
            return self.tape.max_pool(x, ids, rows, &windows, zones);
        }
        let heads = 1 + self.draws.below(2);
        let weights = if name == "weighted_pool" && self.draws.one_in(2) {
            self.operand([rows, heads * history])?
        } else if self.draws.one_in(2) {
            let times: Vec<u32> = (0..9).map(|i| i * i * 4000).collect();
            let times = self.tape.constant_ids(&times, 9, 1)?;
            let gaps = self.tape.history_gaps(times, slice, history)?;
            let param = self.learned([1, heads])?;
            self.tape.history_weights(ids, rows, param, Some(gaps))?
        } else {
            let param = self.operand([1, heads * history])?;
            self.tape.history_weights(ids, rows, param, None)?
        };
        x.map_or(Ok(weights), |x| self.tape.weighted_pool(x, weights))
    }

    fn of_views(&mut self, name: &str) -> Result<Var> {
        let x = self.any();
        let [rows, cols] = self.tape.shape(x);
        match name {
            "view" if self.draws.one_in(2) => {
                let first = self.draws.below(rows);
                let count = 1 + self.draws.below(rows - first);
                self.tape.rows(x, first, count)
            }
            "view" => {
                let first = self.draws.below(cols);
                let count = 1 + self.draws.below(cols - first);
                self.tape.columns(x, first, count)
            }
            "reshape" => {
                // A view with gaps between its rows cannot be reshaped: a scaled copy can.
                let x = if self.tape.layout(x).2 == cols { x } else { self.tape.scale(x, 0.9)? };
                let divisors: Vec<usize> = (1..=rows * cols).filter(|d| (rows * cols).is_multiple_of(*d)).collect();
                let new_rows = divisors[self.draws.below(divisors.len())];
                self.tape.reshape(x, new_rows, rows * cols / new_rows)
            }
            "take" => {
                let n = 1 + self.draws.below(8);
                let ids = self.ids(n, 0, rows)?;
                self.tape.take(x, ids)
            }
            // The value itself is still there, and is weighed if no other op reads it.
            "stop_gradient" if self.draws.one_in(2) => Ok(self.tape.stop_gradient(x)),
            "weigh" => {
                let factor = if self.draws.one_in(5) { x } else { self.operand([rows, cols])? };
                self.tape.weigh(x, factor)
            }
            "stop_gradient" => {
                // Beside the value itself, through which the parameters have their gradient.
                let still = self.tape.stop_gradient(x);
                self.tape.weigh(x, still)
            }
            _ => Err(Error::NoGradient(format!("random tapes do not know the view `{name}`"))),
        }
    }

    /// Ids of a row's positive and negatives, a few of them the same.
    fn list_ids(&mut self, rows: usize, cols: usize) -> Result<Var> {
        let ids: Vec<u32> = (0..rows * cols).map(|_| 1 + self.draws.below(6) as u32).collect();
        self.tape.constant_ids(&ids, rows, cols)
    }

    fn of_losses(&mut self, name: &str) -> Result<Var> {
        let x = self.any();
        let [rows, cols] = self.tape.shape(x);
        let weight = self.weights(rows)?;
        if name == "softmax_loss" {
            return self.softmax_of(x, weight);
        }
        // A positive and a negative at least.
        let z = if cols > 1 { x } else { self.operand([rows, 3])? };
        let cols = self.tape.shape(z)[1];
        let ids = if self.draws.one_in(2) { Some(self.list_ids(rows, cols)?) } else { None };
        match name {
            "bce" => match ids {
                Some(ids) => self.tape.bce_masked(z, weight, ids),
                None if self.draws.one_in(2) => self.tape.bce_with_logits(z, weight, None),
                None => {
                    let labels: Vec<f32> = (0..rows * cols).map(|_| self.draws.between(0.0, 1.0).round()).collect();
                    let labels = self.tape.constant(&labels, rows, cols)?;
                    self.tape.bce_with_logits(z, weight, Some(labels))
                }
            },
            "pairwise" => {
                let rule = if self.draws.one_in(2) { PairRule::Bpr } else { PairRule::Hinge { margin: 0.83 } };
                self.tape.pairwise(z, weight, ids, rule)
            }
            _ => {
                let logq = if self.draws.one_in(2) { Some(self.constant(rows, cols)?) } else { None };
                let correct_positive = self.draws.one_in(2);
                let smoothing = if self.draws.one_in(2) { 0.2 } else { 0.0 };
                self.tape.list_softmax(z, weight, ids, logq, correct_positive, smoothing)
            }
        }
    }

    fn softmax_of(&mut self, users: Var, weight: Var) -> Result<Var> {
        let [rows, dim] = self.tape.shape(users);
        let kind = self.draws.below(3);
        let more = self.draws.below(4);
        let count = if kind == 0 { rows + more } else { 1 + more };
        let twice = count == rows && self.draws.one_in(3);
        let vectors = if twice { users } else { self.operand([count, dim])? };
        let positive = match kind {
            0 => PositiveVar::Diagonal,
            1 => PositiveVar::Label(self.ids(rows, 0, count)?),
            _ => {
                let own = if self.draws.one_in(4) { users } else { self.operand([rows, dim])? };
                let logq = if self.draws.one_in(2) { Some(self.constant(rows, 1)?) } else { None };
                PositiveVar::Own { vectors: own, logq }
            }
        };
        let logq = if self.draws.one_in(2) { Some(self.constant(count, 1)?) } else { None };
        let hits = self.draws.one_in(2);
        let (ids, targets) = (self.ids(count, 1, 6)?, self.ids(rows, 1, 6)?);
        let spec = SoftmaxSpec {
            users,
            weight,
            candidates: Negatives { vectors, logq, ids: Some(ids).filter(|_| hits) },
            positive,
            mask_hits: Some(targets).filter(|_| hits && kind != 1),
            scale: self.draws.between(0.5, 2.0),
            correct_positive: self.draws.one_in(2),
            smoothing: if self.draws.one_in(3) { 0.2 } else { 0.0 },
            mask: None,
        };
        self.tape.softmax_loss(&spec)
    }
}
