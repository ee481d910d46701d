//! Draws for random tapes.

use rt_kernels::philox;

/// A run of draws: one for each op of a tape, so that a tape with an op left out draws the same for the others.
#[derive(Debug, Clone)]
pub(super) struct Draws {
    seed: u64,
    stream: u32,
    next: u32,
}

impl Draws {
    pub(super) fn new(seed: u64, stream: u32) -> Self {
        Self { seed, stream, next: 0 }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    fn draw(&mut self) -> u32 {
        self.next += 1;
        philox::draw(philox::key(self.seed), 0, self.stream, self.next)
    }

    /// Uniform over 0 .. n, which is not empty.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.draw()) * n as u64) >> 32) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.draw() >> 8) as f32 / (1 << 24) as f32
    }
}
