//! The machine's ceilings, measured in the same run: a large copy, a peak loop of multiply-adds, a big square GEMM.

use crate::fail::Done;
use rt_kernels::kernels::{Activation, Copy, Gemm};
use rt_kernels::{Call, Device, Operand, Operands, Program, Step, simd};
use std::sync::Arc;
use std::time::Instant;

/// What the machine can do at best.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Ceilings {
    pub copy_gb_s: f64,
    pub fma_gflop_s: f64,
    pub gemm_gflop_s: f64,
}

impl Ceilings {
    pub(super) fn measure(device: &Device) -> Done<Self> {
        // On a GPU 64 MiB a side: within any binding. On a CPU more than its last cache holds.
        let rows = if matches!(device, Device::Cpu(_)) { 1 << 19 } else { 1 << 17 };
        let copy = Copy { rows, cols: 128 };
        let copied = best(device, Arc::new(copy), &[(rows, 128)], (rows, 128))?;
        let n = 1024;
        let gemm = Gemm { m: n, n, k: n, trans_a: false, trans_b: false, activation: Activation::None };
        let product = best(device, Arc::new(gemm), &[(n, n), (n, n), (0, 0), (0, 0)], (n, n))?;
        let gemm_gflop_s = 2.0 * (n as f64).powi(3) / product / 1e9;
        let fma_gflop_s = match device {
            // The compiler may leave the loop short of the peak; a GEMM that beats it is the better ceiling. One in bf16 does.
            Device::Cpu(cpu) => fma(cpu).max(gemm_gflop_s),
            // A GPU's peak loop would be a kernel of its own; its GEMM is the nearest that is measured.
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => gemm_gflop_s,
        };
        Ok(Self { copy_gb_s: 2.0 * (rows * 128 * 4) as f64 / copied / 1e9, fma_gflop_s, gemm_gflop_s })
    }
}

/// Least seconds of eight runs of one kernel; an operand of no rows is left out.
fn best(
    device: &Device,
    kernel: Arc<dyn rt_kernels::Kernel + Send + Sync>,
    reads: &[(usize, usize)],
    write: (usize, usize),
) -> Done<f64> {
    let mut buffers = Vec::new();
    let mut operand = |(rows, cols): (usize, usize)| -> Done<Option<Operand>> {
        if rows == 0 {
            return Ok(None);
        }
        // Pages that were never written are all one page of zeros, which stays in the cache.
        buffers.push(device.upload_f32(&vec![0.5; rows * cols], "ceiling")?);
        Ok(Some(Operand::dense(buffers.len() - 1, rows, cols)))
    };
    let reads = reads.iter().map(|shape| operand(*shape)).collect::<Done<Vec<_>>>()?;
    let writes = vec![operand(write)?];
    let call = Call { kernel, operands: Operands { reads, writes, scratch: Vec::new() } };
    let mut program = Program::new(device, buffers, vec![call])?;
    let mut least = f64::MAX;
    for _ in 0..8 {
        let seconds = program.run_timed(&Step::default())?;
        least = least.min(seconds[0]);
    }
    Ok(least)
}

/// Eight independent chains of fused multiply-adds in registers, on every thread.
fn fma(cpu: &rt_kernels::CpuDevice) -> f64 {
    const ROUNDS: usize = 2_000_000;
    const WIDTH: usize = 16;
    const CHAINS: usize = 12;
    /// One chain of each name, a register or two wide.
    macro_rules! chains {
        ($seed:expr, $($chain:ident)+) => {{
            let (a, b) = (std::hint::black_box($seed), std::hint::black_box(1.0 - $seed));
            $(let mut $chain = [$seed; WIDTH];)+
            for _ in 0..ROUNDS {
                $(for x in &mut $chain {
                    *x = a.mul_add(*x, b);
                })+
            }
            0.0 $(+ $chain.iter().sum::<f32>())+
        }};
    }
    #[inline(always)]
    fn chains(seed: f32) -> f32 {
        chains!(seed, c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 c10 c11)
    }
    let threads = cpu.threads();
    let mut least = f64::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let sums: f32 = cpu.install(|| {
            use rayon::prelude::*;
            let run = |t: usize| {
                simd::vectorize(
                    #[inline(always)]
                    || chains(0.5 + t as f32 * 1e-6),
                )
            };
            (0..threads).into_par_iter().map(run).sum()
        });
        std::hint::black_box(sums);
        least = least.min(start.elapsed().as_secs_f64());
    }
    (threads * ROUNDS * WIDTH * CHAINS * 2) as f64 / least / 1e9
}
