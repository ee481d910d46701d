//! Example Age (Covington, Adams, Sargin, RecSys 2016): how old a training example is, so that the model can tell what was
//! popular when, and serves as of the end of training.

use rt_data::{Dataset, Split};

/// Inputs made of an age: x, x^2 and sqrt(x). The paper's ranking model feeds these powers of its continuous features; of the age
/// it says nothing of the sort.
pub(crate) const WIDTH: usize = 3;

/// The inputs for an age from 0 (the end of the train part) to 1 (its start), or a little below 0 when serving; the root of a
/// negative age is that of its size, with its sign.
pub(crate) fn inputs(age: f32) -> [f32; WIDTH] {
    [age, age * age, age.abs().sqrt().copysign(age)]
}

/// Inputs of every event, row-major: (t_max - t) / (t_max - t_min) over the train events' times. Later events, which are no
/// examples, count as of t_max.
pub(crate) fn of_events(data: &Dataset, split: &Split) -> Vec<f32> {
    let users = 0..data.users.rows() as u32;
    let times = || users.clone().flat_map(|user| split.train_events(data, user)).map(|event| data.time(event));
    let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let span = (last - first).max(1) as f64;
    let age = |time: i64| ((last - time) as f64 / span).clamp(0.0, 1.0) as f32;
    data.event_time.iter().flat_map(|time| inputs(age(time))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::abs_diff_eq;

    #[test]
    fn ages_a_little_below_zero_are_numbers() {
        for (age, want) in [(0.25, [0.25, 0.0625, 0.5]), (0.0, [0.0; 3]), (-0.01, [-0.01, 0.0001, -0.1])] {
            for (got, want) in inputs(age).into_iter().zip(want) {
                assert!(abs_diff_eq!(got, want, epsilon = 1e-7), "{age}: {got}, not {want}");
            }
        }
    }
}
