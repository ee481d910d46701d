//! Whole training steps: `step/model/device/shape`.

use criterion::{Criterion, Throughput};
use rt_models::{Config, Device, ModelKind, StepBench, StepSizes};

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let naive = Device::Cpu(rt_kernels::CpuDevice::naive().expect("a thread"));
    for (variant, device) in [("main", Device::cpu(0).expect("threads")), ("naive", naive)] {
        for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
            for (batch, vocab) in [(256, 10_000), (1024, 10_000)] {
                let mut config = Config::new(kind);
                config.batch = batch;
                config.ema = 0.0;
                if kind == ModelKind::YoutubeDnn {
                    config.set("loss", "sampled").expect("a loss");
                }
                let sizes = StepSizes { users: vocab, items: vocab, active_items: 0, user_columns: false };
                let mut bench = StepBench::new(&device, &config, sizes, 1).expect("a step");
                let mut group = criterion.benchmark_group(format!("step-{}/{variant}/cpu", kind.name()));
                group.throughput(Throughput::Elements(batch as u64));
                group.bench_function(format!("{batch}of{vocab}x64"), |b| {
                    b.iter(|| {
                        bench.run().expect("a run");
                        bench.synchronize().expect("the device");
                    });
                });
                group.finish();
            }
        }
    }
    criterion.final_summary();
}
