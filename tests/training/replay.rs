//! A GPU step after the first: it makes nothing, by our counters and by wgpu's, and each step is one submission.

use rt_kernels::GpuDevice;
use rt_models::{Config, Device, ModelKind, StepBench, StepSizes};
use rt_tests::devices;

/// Bind groups, bind group layouts, compute pipelines, pipeline layouts and shader modules that wgpu holds. Buffers are left
/// out: `write_buffer` takes staging buffers of wgpu's own.
fn held(gpu: &GpuDevice) -> [isize; 5] {
    let hal = gpu.wgpu_counters().hal;
    [&hal.bind_groups, &hal.bind_group_layouts, &hal.compute_pipelines, &hal.pipeline_layouts, &hal.shader_modules]
        .map(|counter| counter.read())
}

#[test]
fn steps_after_the_first_make_nothing() {
    for device in &devices()[2..] {
        let Device::Gpu(gpu) = device else { panic!("{device:?}: devices after the first two are GPUs") };
        for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
            let mut config = Config::new(kind);
            for pair in ["batch=64", "history=10", "dim=16", "user_hidden=16", "dropout=0.1", "history_dropout=0.1"] {
                config.set_pair(pair).unwrap();
            }
            let sizes = StepSizes { users: 300, items: 200, active_items: 0, user_columns: true };
            let mut step = StepBench::new(device, &config, sizes, 1).unwrap();
            step.run().unwrap();
            step.synchronize().unwrap();
            let (ours, theirs) = (gpu.counters(), held(gpu));
            assert!(theirs.iter().all(|n| *n > 0), "wgpu counts: {theirs:?}");
            for _ in 0..20 {
                step.run().unwrap();
            }
            step.synchronize().unwrap();
            let after = gpu.counters();
            assert_eq!(after.buffers, ours.buffers, "{kind:?}, {device:?}: buffers");
            assert_eq!(after.bind_groups, ours.bind_groups, "{kind:?}, {device:?}: bind groups");
            assert_eq!(after.pipelines, ours.pipelines, "{kind:?}, {device:?}: pipelines");
            assert_eq!(after.submissions, ours.submissions + 20, "{kind:?}, {device:?}: submissions");
            assert_eq!(held(gpu), theirs, "{kind:?}, {device:?}: what wgpu holds");
        }
    }
}

#[test]
fn distinct_ids_of_a_made_up_step_follow_from_the_items_that_occur() {
    let step = |items, active_items| {
        let mut config = Config::new(ModelKind::Dssm);
        for pair in ["batch=64", "history=10", "dim=4", "user_hidden=4"] {
            config.set_pair(pair).unwrap();
        }
        let sizes = StepSizes { users: 300, items, active_items, user_columns: false };
        StepBench::new(&devices()[0], &config, sizes, 1).map(|step| step.distinct_ids())
    };
    let few = step(200, 60).unwrap();
    assert!(few[1] > 30 && few[1] <= 60, "{few:?}");
    assert_eq!(step(20_000, 60).unwrap(), few, "as many for any table");
    assert!(step(20_000, 0).unwrap()[1] > 2 * few[1]);
    let error = step(200, 200).unwrap_err().to_string();
    assert!(error.contains("200 items that occur") && error.contains("at most 199"), "{error}");
}
