//! The space of a search: keys with lists of values or ranges, in TOML.

use crate::fail::{Done, Fail};
use rand::Rng;
use rt_kernels::philox::{PhiloxRng, key};
use rt_models::Config;
use serde_json::Value;
use std::collections::BTreeMap;

/// Stream of the draws: apart from those of training.
const STREAM: u32 = 0x7000_0000;

/// What a key may be.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// One of these, as `--set` takes them.
    List(Vec<String>),
    /// From `min` to `max`, uniform in the value or in its logarithm.
    Range { min: f64, max: f64, log: bool, whole: bool },
}

/// Keys and what they may be, in the order of the keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Space(BTreeMap<String, Values>);

/// A value as `--set` takes it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

impl Space {
    /// Reads `key = [values]` and `key = { min = .., max = .., scale = "log" }`. Every value is tried on `base`.
    pub(crate) fn parse(toml: &str, base: &Config) -> Done<Self> {
        let table: BTreeMap<String, Value> = basic_toml::from_str(toml).map_err(|e| Fail::user(e.to_string()))?;
        let mut space = BTreeMap::new();
        for (key, value) in &table {
            let values = match value {
                Value::Array(list) if !list.is_empty() => Values::List(list.iter().map(text).collect()),
                Value::Object(range) => Self::range(range).map_err(|what| Fail::user(format!("`{key}`: {what}")))?,
                _ => {
                    let what =
                        "has to be a list of values, or a range such as { min = 1e-4, max = 1e-2, scale = \"log\" }";
                    return Err(Fail::user(format!("`{key} = {value}`: {what}")));
                }
            };
            let tried = match &values {
                Values::List(list) => list.clone(),
                Values::Range { min, max, whole, .. } => vec![number(*min, *whole), number(*max, *whole)],
            };
            for value in tried {
                base.clone().set(key, &value)?;
            }
            space.insert(key.clone(), values);
        }
        if space.is_empty() {
            return Err(Fail::user("there is no key to search over"));
        }
        Ok(Self(space))
    }

    fn range(range: &serde_json::Map<String, Value>) -> Result<Values, String> {
        if let Some(other) = range.keys().find(|k| !["min", "max", "scale"].contains(&k.as_str())) {
            return Err(format!("a range has min, max and scale, not `{other}`"));
        }
        let get = |name: &str| {
            let value = range.get(name).and_then(Value::as_f64).filter(|x| x.is_finite());
            value.ok_or_else(|| format!("a range needs a number `{name}`"))
        };
        let (min, max) = (get("min")?, get("max")?);
        let log = match range.get("scale").map(|s| s.as_str().unwrap_or("")) {
            None | Some("linear") => false,
            Some("log") => true,
            Some(_) => return Err("scale has to be \"linear\" or \"log\"".into()),
        };
        if min >= max {
            return Err(format!("min = {min} has to be below max = {max}"));
        }
        if log && min <= 0.0 {
            return Err(format!("min = {min} has to be above 0 on a logarithmic scale"));
        }
        let whole = range["min"].is_i64() && range["max"].is_i64();
        Ok(Values::Range { min, max, log, whole })
    }

    /// Is the key searched over?
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The settings of a trial: a seed and a number always draw the same.
    pub(crate) fn draw(&self, seed: u64, trial: u32) -> Vec<(String, String)> {
        let mut rng = PhiloxRng::at(key(seed), [0, trial, 0, STREAM]);
        let one = |(key, values): (&String, &Values)| {
            let word = rng.next_u32();
            let value = match values {
                Values::List(list) => list[((u64::from(word) * list.len() as u64) >> 32) as usize].clone(),
                Values::Range { min, max, log, whole } => {
                    let share = f64::from(word) / 4_294_967_296.0;
                    // A whole number is drawn with half a step on either side, so that both ends are as likely as others.
                    let half = if *whole { 0.5 } else { 0.0 };
                    let (low, high) = (min - half, max + half);
                    let x = match log {
                        true => (min.ln() + share * (max.ln() - min.ln())).exp(),
                        false => low + share * (high - low),
                    };
                    number(if *whole { x.round().clamp(*min, *max) } else { x }, *whole)
                }
            };
            (key.clone(), value)
        };
        self.0.iter().map(one).collect()
    }

    /// The space as text: what a search is known by.
    pub(crate) fn describe(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// A number as `--set` takes it; settings are f32.
fn number(x: f64, whole: bool) -> String {
    if whole { format!("{x:.0}") } else { format!("{:?}", x as f32) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::abs_diff_eq;
    use rt_models::ModelKind;

    fn space(toml: &str) -> Done<Space> {
        Space::parse(toml, &Config::new(ModelKind::Dssm))
    }

    #[test]
    fn draws_keep_to_lists_and_ranges() {
        let toml = "lr = { min = 1e-4, max = 1e-2, scale = \"log\" }\ndropout = { min = 0.1, max = 0.4 }\n\
                    dim = [16, 32]\nwindows = [[1, 5], [1, \"all\"]]\nbatch = { min = 2, max = 5 }\n\
                    column_dims = [\"item_id=16\", \"item_id=16,genre=8\"]\nlast_activation = [\"none\", \"tanh\"]\n";
        let space = space(toml).unwrap();
        let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for trial in 0..400 {
            assert_eq!(space.draw(3, trial), space.draw(3, trial));
            for (key, value) in space.draw(3, trial) {
                seen.entry(key).or_default().push(value);
            }
        }
        let numbers = |key: &str| seen[key].iter().map(|v| v.parse::<f64>().unwrap()).collect::<Vec<_>>();
        let share = |values: &[f64], below: f64| values.iter().filter(|v| **v < below).count() as f64 / 400.0;
        let lr = numbers("lr");
        assert!(lr.iter().all(|v| (1e-4..=1.001e-2).contains(v)));
        assert!(
            abs_diff_eq!(share(&lr, 1e-3), 0.5, epsilon = 0.1),
            "half of a logarithmic range lies below its middle"
        );
        let dropout = numbers("dropout");
        assert!(
            dropout.iter().all(|v| (0.1..=0.4).contains(v)) && abs_diff_eq!(share(&dropout, 0.25), 0.5, epsilon = 0.1)
        );
        for (key, values) in [
            ("dim", &["16", "32"][..]),
            ("windows", &["1,5", "1,all"]),
            ("batch", &["2", "3", "4", "5"]),
            ("column_dims", &["item_id=16", "item_id=16,genre=8"]),
            ("last_activation", &["none", "tanh"]),
        ] {
            for value in values {
                let n = seen[key].iter().filter(|v| v == value).count() as f64;
                assert!(abs_diff_eq!(n / 400.0, 1.0 / values.len() as f64, epsilon = 0.1), "{key} = {value}: {n}");
            }
            assert!(seen[key].iter().all(|v| values.contains(&v.as_str())), "{key}");
        }
        assert_ne!(space.draw(3, 0), space.draw(4, 0));
    }

    #[test]
    fn spaces_that_are_wrong() {
        for (toml, want) in [
            ("lr = 3", "list of values"),
            ("lr = []", "list of values"),
            ("lrr = [1]", "nearest is `lr`"),
            ("lr = [\"x\"]", "lr = x"),
            ("column_dims = [\"genre=0\"]", "a width from 1 to 4096"),
            ("lr = { min = 1 }", "`max`"),
            ("lr = { min = 2, max = 1 }", "below max"),
            ("lr = { min = 0.0, max = 1.0, scale = \"log\" }", "above 0"),
            ("lr = { min = 0.1, max = 1.0, scale = \"cubic\" }", "\"log\""),
            ("lr = { min = 0.1, max = 1.0, step = 2 }", "`step`"),
            ("", "no key"),
            ("lr = [", "line 1"),
        ] {
            let error = space(toml).unwrap_err();
            assert!(error.what.contains(want) && error.code == 2, "{toml}: {error}");
        }
    }
}
