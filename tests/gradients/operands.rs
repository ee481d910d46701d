//! Ops of several operands with two bare parameters, and with the same operand twice.

use crate::differ::{given, hold, weighted};
use rt_tensor::{Activation, Init, Negatives, PositiveVar, Result, SoftmaxSpec, Tape, Var};

const N: usize = 5;
const NORMAL: Init = Init::Normal(0.6);

/// An op of two operands `[N, N]`: everything that takes them is square.
type Binary<'a> = dyn Fn(&mut Tape, Var, Var) -> Result<Var> + 'a;

/// Two bare parameters; one parameter twice; one value twice; a parameter and a value made of it, both ways round.
fn all_ways(what: &str, op: &Binary<'_>) {
    hold(&format!("{what}(p, q)"), &|t| {
        let (p, q) = (t.param("p", [N, N], NORMAL)?, t.param("q", [N, N], NORMAL)?);
        let y = op(t, p, q)?;
        weighted(t, y, 2)
    });
    hold(&format!("{what}(p, p)"), &|t| {
        let p = t.param("p", [N, N], NORMAL)?;
        let y = op(t, p, p)?;
        weighted(t, y, 2)
    });
    hold(&format!("{what}(h, h)"), &|t| {
        let p = t.param("p", [N, N], NORMAL)?;
        let h = t.activation(p, Activation::Tanh)?;
        let y = op(t, h, h)?;
        weighted(t, y, 2)
    });
    for turned in [false, true] {
        hold(&format!("{what}(p, h), turned: {turned}"), &|t| {
            let p = t.param("p", [N, N], NORMAL)?;
            let h = t.activation(p, Activation::Tanh)?;
            let y = if turned { op(t, h, p)? } else { op(t, p, h)? };
            weighted(t, y, 2)
        });
    }
}

#[test]
fn add() {
    all_ways("add", &|t, a, b| t.add(a, b));
    hold("add(p, q) + add(q, p)", &|t| {
        let (p, q) = (t.param("p", [N, 3], NORMAL)?, t.param("q", [N, 3], NORMAL)?);
        let (a, b) = (t.add(p, q)?, t.add(q, p)?);
        let sum = t.add(a, b)?;
        weighted(t, sum, 2)
    });
    hold("one gradient for three parameters", &|t| {
        let (p, q, r) = (t.param("p", [N, 3], NORMAL)?, t.param("q", [N, 3], NORMAL)?, t.param("r", [N, 3], NORMAL)?);
        let pq = t.add(p, q)?;
        let sum = t.add(pq, r)?;
        weighted(t, sum, 2)
    });
}

#[test]
fn concat() {
    all_ways("concat", &|t, a, b| t.concat(&[a, b]));
    hold("concat(a, h, b, h), a and b of one value each", &|t| {
        let p = t.param("p", [N, 3], NORMAL)?;
        let h = t.activation(p, Activation::Tanh)?;
        let (a, b) = (t.scale(h, 0.5)?, t.scale(h, -2.0)?);
        let whole = t.concat(&[a, h, b, h])?;
        let again = t.concat(&[whole, h])?;
        weighted(t, again, 2)
    });
    hold("add(concat(p, q), r): pieces of one gradient and all of it", &|t| {
        let (p, q, r) = (t.param("p", [N, 3], NORMAL)?, t.param("q", [N, 2], NORMAL)?, t.param("r", [N, 5], NORMAL)?);
        let pq = t.concat(&[p, q])?;
        let sum = t.add(pq, r)?;
        weighted(t, sum, 2)
    });
}

#[test]
fn concat_rows() {
    all_ways("concat_rows", &|t, a, b| t.concat_rows(&[a, b]));
    hold("rows of one table joined, and all of them added to others of it", &|t| {
        let table = t.table("table", 6, 3, NORMAL)?;
        let ids = |t: &mut Tape, list: &[u32]| t.constant_ids(list, list.len(), 1);
        let (a, b, c) = (ids(t, &[1, 2, 2])?, ids(t, &[5, 1])?, ids(t, &[3, 4, 1, 3, 5])?);
        let (a, b, c) = (t.gather(table, a)?, t.gather(table, b)?, t.gather(table, c)?);
        for (first, second) in [(a, b), (b, a)] {
            let joined = t.concat_rows(&[first, second])?;
            let sum = t.add(joined, c)?;
            if first == b {
                return weighted(t, sum, 2);
            }
        }
        unreachable!("the second is the last")
    });
}

#[test]
fn products() {
    all_ways("linear", &|t, a, b| t.linear(a, b, None, None, Activation::None));
    all_ways("linear with a skip of its input", &|t, a, b| t.linear(a, b, None, Some(a), Activation::Tanh));
    all_ways("linear with a skip of its weights", &|t, a, b| t.linear(a, b, None, Some(b), Activation::None));
    all_ways("product", &|t, a, b| t.product(a, b));
    all_ways("group_dot", &|t, a, b| t.group_dot(a, b, 1.3));
}

#[test]
fn pools_and_fields() {
    all_ways("weighted_pool", &|t, a, b| t.weighted_pool(a, b));
    all_ways("field_scale", &|t, a, b| t.field_scale(a, b, &[1; N]));
}

/// Operands of one row, or one cell.
#[test]
fn rows_and_cells() {
    hold("scale_by_exp(p, p)", &|t| {
        let p = t.param("p", [1, 1], NORMAL)?;
        let y = t.scale_by_exp(p, p)?;
        t.sum(y)
    });
    hold("scale_by_exp(p, q)", &|t| {
        let (p, q) = (t.param("p", [N, 3], NORMAL)?, t.param("q", [1, 1], NORMAL)?);
        let y = t.scale_by_exp(p, q)?;
        weighted(t, y, 2)
    });
    hold("prelu(p, p)", &|t| {
        let p = t.param("p", [1, 6], Init::Spread(-1.0, 0.8))?;
        let y = t.prelu(p, p)?;
        weighted(t, y, 2)
    });
    hold("layer_norm(p, q, q)", &|t| {
        let (p, q) = (t.param("p", [N, 4], NORMAL)?, t.param("q", [1, 4], NORMAL)?);
        let y = t.layer_norm(p, q, q)?;
        weighted(t, y, 2)
    });
    hold("layer_norm(p, p, p)", &|t| {
        let p = t.param("p", [1, 4], Init::Spread(-1.0, 0.7))?;
        let y = t.layer_norm(p, p, p)?;
        weighted(t, y, 2)
    });
    hold("linear with a bias that is its input", &|t| {
        let (p, w) = (t.param("p", [1, 4], NORMAL)?, t.param("w", [4, 4], NORMAL)?);
        let y = t.linear(p, w, Some(p), Some(p), Activation::None)?;
        weighted(t, y, 2)
    });
}

#[test]
fn losses() {
    let spec = |users: Var, vectors: Var, weight: Var, positive: PositiveVar| SoftmaxSpec {
        users,
        weight,
        candidates: Negatives { vectors, logq: None, ids: None },
        positive,
        mask_hits: None,
        scale: 1.0,
        correct_positive: false,
        smoothing: 0.0,
        mask: None,
    };
    // Which of p, q and r are users, candidates and positives of their own.
    for (what, users, vectors, own) in [
        ("softmax(p, q)", 0, 1, None),
        ("softmax(p, p)", 0, 0, None),
        ("softmax(p, q) with positives r", 0, 1, Some(2)),
        ("softmax(p, p) with positives p", 0, 0, Some(0)),
        ("softmax(p, q) with positives q", 0, 1, Some(1)),
    ] {
        for made in [false, true] {
            hold(what, &|t| {
                let mut list = Vec::new();
                for name in &["p", "q", "r"][..1 + users.max(vectors).max(own.unwrap_or(0))] {
                    let p = t.param(name, [N, 3], NORMAL)?;
                    list.push(if made { t.activation(p, Activation::Tanh)? } else { p });
                }
                let weight = t.constant(&[0.3, 0.1, 0.2, 0.15, 0.25], N, 1)?;
                let positive = match own {
                    Some(own) => PositiveVar::Own { vectors: list[own], logq: None },
                    None => PositiveVar::Diagonal,
                };
                let rows = t.softmax_loss(&spec(list[users], list[vectors], weight, positive))?;
                t.sum(rows)
            });
        }
    }
}

/// What only a constant joins has no second gradient, and the parameter's is all there.
#[test]
fn a_parameter_and_a_constant() {
    for turned in [false, true] {
        hold("add and concat of a parameter and a constant", &|t| {
            let (p, c) = (t.param("p", [N, 3], NORMAL)?, given(t, N, 3, 4)?);
            let (a, b) = if turned { (c, p) } else { (p, c) };
            let (sum, both) = (t.add(a, b)?, t.concat(&[a, b])?);
            let all = t.concat(&[sum, both])?;
            weighted(t, all, 2)
        });
    }
}
