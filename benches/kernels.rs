//! The kernels that a step's time goes to, each beside its naive loops: `kernel/variant/device/shape`. `recall bench
//! kernels` has all of them, with their share of the machine's ceilings.

use criterion::{Criterion, Throughput};
use rt_kernels::kernels::{Activation, Bag, Gather, Gemm, L2Normalize, Positive, Search, SoftmaxLoss};
use rt_kernels::{Call, CpuDevice, Device, Dtype, Kernel, Operand, Operands, Program, Step, philox};
use std::sync::Arc;

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let (rows, dim) = (100_000, 64);
    let bag = Bag { rows: 1024, dim, windows: vec![50], max_len: 50, mean: true, zones: false, apart: dim };
    bench(&mut criterion, "1024x50of100000x64", bag, &[rows, 1024 * 50]);
    bench(&mut criterion, "16384of100000x64", Gather { rows: 16_384, dim }, &[rows]);
    bench(&mut criterion, "16384x64", L2Normalize { rows: 16_384, dim }, &[]);
    let gemm = |m, k, n, trans_a| Gemm { m, n, k, trans_a, trans_b: false, activation: Activation::None };
    bench(&mut criterion, "1024x256x128", gemm(1024, 256, 128, false), &[]);
    bench(&mut criterion, "256x1024x128,transposed", gemm(256, 1024, 128, true), &[]);
    let softmax = SoftmaxLoss {
        rows: 1024,
        candidates: 1024,
        dim,
        scale: 10.0,
        positive: Positive::Diagonal,
        correct_positive: false,
        mask_hits: true,
        smoothing: 0.0,
    };
    bench(&mut criterion, "1024x1024x64", softmax, &[]);
    let search = Search { queries: 100, items: 20_000, dim, k: 100, first: 0, coded: false };
    bench(&mut criterion, "100of20000x64,top100", search, &[]);
    criterion.final_summary();
}

/// Times a kernel on made-up operands. `free` are the rows of operands that its signature leaves open, in order.
fn bench(criterion: &mut Criterion, shape: &str, kernel: impl Kernel + Send + Sync + Clone + 'static, free: &[usize]) {
    let naive = Device::Cpu(CpuDevice::naive().expect("a thread"));
    for (variant, device) in [("main", Device::cpu(0).expect("threads")), ("naive", naive)] {
        let mut program = program(&device, kernel.clone(), free).expect("operands");
        let mut group = criterion.benchmark_group(format!("{}/{variant}/cpu", kernel.name()));
        group.throughput(Throughput::Bytes(kernel.cost().bytes as u64));
        group.bench_function(shape, |b| b.iter(|| program.run(&Step::default()).expect("a run")));
        group.finish();
    }
}

fn program(
    device: &Device,
    kernel: impl Kernel + Send + Sync + 'static,
    free: &[usize],
) -> rt_kernels::Result<Program> {
    let signature = kernel.signature();
    let (mut buffers, mut free) = (Vec::new(), free.iter().copied());
    let mut operands = Operands::default();
    let below = free.clone().next().unwrap_or(1000) as u32;
    for (number, slot) in signature.reads.iter().enumerate() {
        if slot.optional && slot.name != "logq" {
            operands.reads.push(None);
            continue;
        }
        let rows = slot.rows.unwrap_or_else(|| free.next().unwrap_or(1));
        let cols = slot.cols.unwrap_or(1);
        let mut words = vec![0u32; rows * cols];
        philox::draws(philox::key(7), number as u32, 0, 0, &mut words);
        buffers.push(match (slot.dtype, slot.name) {
            (Dtype::F32, _) => {
                let values: Vec<f32> = words.iter().map(|w| *w as f32 / 4_294_967_296.0 - 0.5).collect();
                device.upload_f32(&values, slot.name)?
            }
            // Full slices one after the other.
            (Dtype::U32, "slice") => {
                let slices: Vec<u32> = (0..rows as u32).flat_map(|i| [i * 50, 50]).collect();
                device.upload_u32(&slices, slot.name)?
            }
            (Dtype::U32, _) => {
                let ids: Vec<u32> =
                    words.iter().map(|w| 1 + ((u64::from(*w) * u64::from(below - 1)) >> 32) as u32).collect();
                device.upload_u32(&ids, slot.name)?
            }
        });
        operands.reads.push(Some(Operand::dense(buffers.len() - 1, rows, cols)));
    }
    for slot in &signature.writes {
        if slot.optional && slot.name == "down" {
            operands.writes.push(None);
            continue;
        }
        let (rows, cols) = (slot.rows.unwrap_or_default(), slot.cols.unwrap_or_default());
        buffers.push(device.zeros(slot.dtype, rows * cols, slot.name)?);
        operands.writes.push(Some(Operand::dense(buffers.len() - 1, rows, cols)));
    }
    Program::new(device, buffers, vec![Call { kernel: Arc::new(kernel), operands }])
}
