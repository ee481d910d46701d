//! The command line, made-up data, and the line of JSON that a run prints.

use std::time::Duration;

/// Runs before the clock counts: burn compiles and tunes its kernels in them.
const WARM: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Step,
    Loss,
}

/// `step|loss [--batch B] [--vocab V] [--runs N]`
pub struct Args {
    pub mode: Mode,
    pub batch: usize,
    pub vocab: usize,
    pub runs: usize,
}

impl Args {
    pub fn parse() -> Self {
        const USAGE: &str = "step|loss [--batch B] [--vocab V] [--runs N]";
        let words: Vec<String> = std::env::args().skip(1).collect();
        let mode = match words.first().map(String::as_str) {
            Some("step") => Mode::Step,
            Some("loss") => Mode::Loss,
            _ => panic!("{USAGE}"),
        };
        let mut args = Self { mode, batch: 1024, vocab: 100_000, runs: 15 };
        for pair in words[1..].chunks(2) {
            let value = pair.get(1).and_then(|v| v.parse().ok()).expect(USAGE);
            match pair[0].as_str() {
                "--batch" => args.batch = value,
                "--vocab" => args.vocab = value,
                "--runs" => args.runs = value,
                _ => panic!("{USAGE}"),
            }
        }
        assert!(args.batch > 0 && args.vocab > 0 && args.runs > 0, "{USAGE}");
        args
    }
}

/// Marsaglia's xorshift64: good enough for made-up ids.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(88_172_645_463_325_252)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// In [-1, 1).
    pub fn signed(&mut self) -> f32 {
        (2.0 * self.unit() - 1.0) as f32
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}

/// Zipf's law with exponent 1 over shuffled ids, as `recall bench step` draws items.
pub struct Zipf {
    cumulated: Vec<f64>,
    ids: Vec<i32>,
}

impl Zipf {
    pub fn new(n: usize, random: &mut Random) -> Self {
        let mut sum = 0.0;
        let cumulated = (1..=n)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        let mut ids: Vec<i32> = (0..n as i32).collect();
        for i in (1..n).rev() {
            ids.swap(i, random.below(i + 1));
        }
        Self { cumulated, ids }
    }

    pub fn draw(&self, random: &mut Random) -> i32 {
        let x = random.unit() * self.cumulated[self.cumulated.len() - 1];
        self.ids[self.cumulated.partition_point(|c| *c < x).min(self.ids.len() - 1)]
    }
}

/// Times of the runs.
pub struct Report<'a> {
    args: &'a Args,
    run: usize,
    seconds: Vec<f64>,
    cpu: f64,
    loss: f32,
}

impl<'a> Report<'a> {
    pub fn new(args: &'a Args) -> Self {
        Self { args, run: 0, seconds: Vec::new(), cpu: 0.0, loss: f32::NAN }
    }

    /// Number of the run, from 0, warm ones counted.
    pub fn run(&self) -> usize {
        self.run
    }

    pub fn wants_more(&mut self) -> bool {
        if self.run == WARM {
            self.cpu = cpu_seconds();
        }
        self.run < WARM + self.args.runs
    }

    pub fn add(&mut self, took: Duration, loss: f32) {
        assert!(loss.is_finite(), "the loss is {loss}");
        if self.run >= WARM {
            self.seconds.push(took.as_secs_f64());
        }
        self.run += 1;
        self.loss = loss;
    }

    pub fn print(mut self, name: &str, adapter: &str) {
        let runs = self.seconds.len();
        let cpu_ms = 1e3 * (cpu_seconds() - self.cpu) / runs as f64;
        self.seconds.sort_by(f64::total_cmp);
        let (ms, least) = (1e3 * self.seconds[runs / 2], 1e3 * self.seconds[0]);
        let mode = if self.args.mode == Mode::Step { "step" } else { "loss" };
        let (batch, vocab, loss) = (self.args.batch, self.args.vocab, self.loss);
        println!(
            r#"{{"name": "{name}", "versions": {{"burn": "{}"}}, "adapter": "{adapter}", "mode": "{mode}", "batch": {batch}, "vocab": {vocab}, "ms": {ms:.3}, "ms_min": {least:.3}, "runs": {runs}, "cpu_ms": {cpu_ms:.3}, "peak_memory_bytes": {}, "loss": {loss:.4}}}"#,
            locked_version("burn"),
            peak_memory_bytes()
        );
    }
}

/// The version of a package in the lock file.
fn locked_version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock").split(&format!("name = \"{package}\"\nversion = \"")).nth(1);
    lock.and_then(|rest| rest.split('"').next()).unwrap_or("unknown")
}

/// CPU seconds of this process, all threads.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or("");
    let ticks = |i: usize| after.split_whitespace().nth(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// The process's high-water mark.
fn peak_memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
}
