//! What the GPU backend promises, on every adapter that can be used: errors instead of panics, nothing made by a
//! replay, and the same bits with and without wgpu's checks.

use rt_kernels::kernels::Activation;
use rt_kernels::kernels::{Batch, Gather, Gemm, L2Normalize, Positive, SoftmaxLoss, Sum};
use rt_kernels::{
    Binding, Buffer, Call, Cost, Counters, CpuIo, Device, DeviceChoice, Dispatch, Dtype, Error, GpuOptions, Kernel,
    Operand, Operands, Program, Signature, Slot, Step,
};
use rt_tests::{ids, uniform};
use std::sync::Arc;

/// A device of its own for each adapter that can be used, opened with `options`.
fn open(options: GpuOptions) -> Vec<Device> {
    let devices: Vec<Device> = Device::adapters()
        .iter()
        .filter(|a| a.unusable.is_none() && a.backend != "Gl")
        .map(|a| Device::open_gpu(a.index, options).unwrap_or_else(|e| panic!("{}: {e}", a.name)))
        .collect();
    let required = std::env::var("RECALL_REQUIRE_GPU").is_ok_and(|v| v == "1");
    assert!(
        !devices.is_empty() || !required,
        "RECALL_REQUIRE_GPU=1 and no adapter was found: install a Vulkan driver (mesa-vulkan-drivers)"
    );
    devices
}

fn counters(device: &Device) -> Counters {
    match device {
        Device::Gpu(gpu) => gpu.counters(),
        Device::Cpu(_) => panic!("not a GPU"),
    }
}

fn call(kernel: impl Kernel + Send + Sync + 'static, reads: &[Option<Operand>], writes: &[Option<Operand>]) -> Call {
    Call {
        kernel: Arc::new(kernel),
        operands: Operands { reads: reads.to_vec(), writes: writes.to_vec(), scratch: Vec::new() },
    }
}

/// `out = table[ids]`, twice the same table row for each id, and what it must give.
struct Lookup {
    table: Buffer,
    ids: Buffer,
    out: Buffer,
    want: Vec<f32>,
    rows: usize,
    dim: usize,
}

impl Lookup {
    fn new(device: &Device, rows: usize, dim: usize) -> Self {
        let (table, chosen) = (uniform(50 * dim, 1), ids(rows, 50, 2));
        Self {
            table: device.upload_f32(&table, "table").expect("table"),
            ids: device.upload_u32(&chosen, "ids").expect("ids"),
            out: device.zeros(Dtype::F32, rows * dim, "out").expect("out"),
            want: chosen.iter().flat_map(|id| table[*id as usize * dim..][..dim].to_vec()).collect(),
            rows,
            dim,
        }
    }

    fn program(&self, device: &Device) -> rt_kernels::Result<Program> {
        let (rows, dim) = (self.rows, self.dim);
        let buffers = vec![self.table.clone(), self.ids.clone(), self.out.clone()];
        let reads = [Some(Operand::dense(0, 50, dim)), Some(Operand::dense(1, rows, 1))];
        let writes = [Some(Operand::dense(2, rows, dim))];
        let kernel = Gather { rows, dim };
        Program::new(device, buffers, vec![call(kernel, &reads, &writes)])
    }
}

/// A kernel whose dispatches are given: for those that a device has to refuse.
#[derive(Debug)]
struct Given(Vec<Dispatch>);

impl Kernel for Given {
    fn name(&self) -> &'static str {
        "given"
    }
    fn signature(&self) -> Signature {
        Signature { reads: vec![Slot::f32("x", None, None)], writes: vec![] }
    }
    fn cost(&self) -> Cost {
        Cost::default()
    }
    fn run(&self, _: &mut CpuIo<'_>) {}
    fn dispatches(&self, _: &Operands) -> Vec<Dispatch> {
        self.0.clone()
    }
}

fn refused(device: &Device, shader: &'static str, bindings: Vec<Binding>) -> Error {
    let dispatch =
        Dispatch { shader, constants: vec![], params: vec![0; 8], step: false, bindings, workgroups: 1, iterations: 0 };
    let buffer = device.zeros(Dtype::F32, 64, "x").expect("x");
    let given = call(Given(vec![dispatch]), &[Some(Operand::dense(0, 8, 8))], &[]);
    match Program::new(device, vec![buffer], vec![given]) {
        Ok(_) => panic!("the device took it"),
        Err(error) => error,
    }
}

#[test]
fn a_lost_device_is_an_error_everywhere() {
    for device in open(GpuOptions::default()) {
        let lookup = Lookup::new(&device, 10, 4);
        let mut program = lookup.program(&device).expect("program");
        program.run(&Step::default()).expect("a run before");
        if let Device::Gpu(gpu) = &device {
            gpu.lose();
        }
        let results = [
            ("run", program.run(&Step::default()).err()),
            ("run_timed", program.run_timed(&Step::default()).err()),
            ("synchronize", program.synchronize().err()),
            ("read", device.read_f32(&lookup.out).err()),
            ("write", device.write(&lookup.ids, 0, &[1]).err()),
            ("zeros", device.zeros(Dtype::F32, 4, "more").err()),
            ("program", lookup.program(&device).err()),
        ];
        for (what, error) in results {
            assert!(matches!(error, Some(Error::DeviceLost(_))), "{what}: {error:?}");
        }
    }
}

#[test]
fn default_limits_are_enough() {
    let options = GpuOptions { default_limits: true, ..Default::default() };
    for device in open(options) {
        let lookup = Lookup::new(&device, 1000, 33);
        let mut program = lookup.program(&device).expect("program");
        program.run(&Step::default()).expect("run");
        assert_eq!(device.read_f32(&lookup.out).expect("read"), lookup.want);
        // Without timestamps a submission each is timed.
        assert_eq!(program.run_timed(&Step::default()).expect("timed").len(), 1);
    }
}

#[test]
fn a_grid_past_one_dimension_is_folded() {
    for device in open(GpuOptions::default()) {
        let lookup = Lookup::new(&device, 70_000, 64);
        let mut program = lookup.program(&device).expect("program");
        program.run(&Step::default()).expect("run");
        assert!(device.read_f32(&lookup.out).expect("read") == lookup.want);
    }
}

#[test]
fn long_copies_arrive_whole() {
    for device in open(GpuOptions::default()) {
        // Three pieces, the last one short; then a read that starts and ends within pieces.
        let words: Vec<u32> = (0..(17 << 20) + 5).collect();
        let buffer = device.upload_u32(&words, "long").expect("upload");
        assert!(device.read_u32(&buffer).expect("read") == words);
        let part = device.read(&buffer, 1_000_003, 9_000_001).expect("part");
        assert!(part == words[1_000_003..][..9_000_001]);
        device.write(&buffer, 7, &[1, 2, 3]).expect("write");
        assert_eq!(device.read(&buffer, 6, 5).expect("read"), [6, 1, 2, 3, 10]);
    }
}

#[test]
fn a_buffer_past_the_limit_says_what_it_needs() {
    let options = GpuOptions { max_binding_bytes: Some(1 << 20), ..Default::default() };
    for device in open(options) {
        device.zeros(Dtype::F32, 1 << 18, "just fits").expect("1 MiB");
        match device.zeros(Dtype::F32, 1 << 20, "the table `item`") {
            Err(Error::Memory { what, need, have }) => {
                assert_eq!((what.as_str(), need, have), ("the table `item`", 4 << 20, 1 << 20));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_replay_makes_nothing() {
    for device in open(GpuOptions::default()) {
        let lookup = Lookup::new(&device, 100, 16);
        let mut program = lookup.program(&device).expect("program");
        program.run(&Step::default()).expect("run");
        let before = counters(&device);
        for step in 1..=20 {
            program.run(&Step::new(step, 1, 0, 1)).expect("run");
        }
        program.synchronize().expect("synchronize");
        let after = counters(&device);
        assert_eq!(after.submissions, before.submissions + 20);
        assert_eq!(after.waits, before.waits + 1, "`synchronize` alone waits");
        let made = |c: Counters| Counters { submissions: 0, under_way: 0, waits: 0, ..c };
        assert_eq!(made(after), made(before));

        // A second program with the same kernel has its own bind groups and the pipelines of the first.
        lookup.program(&device).expect("program");
        assert_eq!(counters(&device).pipelines, after.pipelines);
        assert_eq!(counters(&device).bind_groups, after.bind_groups + 1);
    }
}

/// A process that ends while a software driver still compiles dies in the driver's exit.
#[test]
fn a_program_ends_with_its_work() {
    for device in open(GpuOptions::default()) {
        let mut program = Lookup::new(&device, 100, 16).program(&device).expect("program");
        program.run(&Step::default()).expect("run");
        drop(program);
        assert_eq!(counters(&device).under_way, 0);
    }
}

#[test]
fn each_run_has_its_own_step() {
    for device in open(GpuOptions::default()) {
        let (batch, runs) = (50, 64);
        let zeros = |words, what| device.zeros(Dtype::U32, words, what).expect(what);
        let mut buffers: Vec<Buffer> = ["order", "items", "starts"].map(|w| zeros(200, w)).into();
        buffers.extend(["user", "target"].map(|w| zeros(batch, w)));
        buffers.push(zeros(2 * batch, "slice"));
        buffers.push(device.zeros(Dtype::F32, batch, "weight").expect("weight"));
        buffers.push(device.zeros(Dtype::F32, runs, "sums").expect("sums"));
        let column = |buffer, rows| Some(Operand::dense(buffer, rows, 1));
        let reads = [column(0, 200), column(1, 200), column(2, 200), None];
        let slice = Some(Operand::dense(5, batch, 2));
        let writes = [column(3, batch), column(4, batch), slice, column(6, batch), None, None];
        let calls = vec![
            call(Batch { batch, history: 5, set: false, first: 0 }, &reads, &writes),
            call(Sum { rows: batch, ring: runs }, &[column(6, batch)], &[column(7, runs)]),
        ];
        let mut program = Program::new(&device, buffers.clone(), calls).expect("program");
        for k in 0..runs as u32 {
            // The weight of each of 10 valid rows is what the step says.
            let mut step = Step::new(k, 1, 0, 10);
            step.inv_valid = k as f32;
            program.run(&step).expect("run");
        }
        let want: Vec<f32> = (0..runs).map(|k| 10.0 * k as f32).collect();
        assert_eq!(device.read_f32(&buffers[7]).expect("read"), want);
    }
}

#[test]
fn timed_runs_compute_too() {
    for device in open(GpuOptions::default()) {
        let lookup = Lookup::new(&device, 500, 16);
        let mut program = lookup.program(&device).expect("program");
        let seconds = program.run_timed(&Step::default()).expect("timed");
        assert_eq!(seconds.len(), 1);
        assert!(seconds.iter().all(|s| s.is_finite() && *s >= 0.0), "{seconds:?}");
        assert_eq!(device.read_f32(&lookup.out).expect("read"), lookup.want);
        assert_eq!(program.run_timed(&Step::default()).expect("again").len(), 1);
    }
}

#[test]
fn two_programs_share_a_buffer() {
    for device in open(GpuOptions::default()) {
        let first = Lookup::new(&device, 100, 8);
        let second = Lookup {
            table: first.out.clone(),
            ids: device.upload_u32(&[3, 0, 49, 3], "ids").expect("ids"),
            out: device.zeros(Dtype::F32, 4 * 8, "out").expect("out"),
            want: [3, 0, 49, 3].iter().flat_map(|r| first.want[r * 8..][..8].to_vec()).collect(),
            rows: 4,
            dim: 8,
        };
        let mut programs = [&first, &second].map(|p| p.program(&device).expect("program"));
        for program in &mut programs {
            program.run(&Step::default()).expect("run");
        }
        assert_eq!(device.read_f32(&second.out).expect("read"), second.want);
    }
}

/// Matrix product, normalisation and the tiled softmax: loops, barriers and workgroup memory.
fn tower_and_loss(device: &Device) -> Vec<Vec<u32>> {
    let (rows, dim, inputs) = (90, 24, 37);
    let upload = |n, seed| device.upload_f32(&uniform(n, seed), "input").expect("input");
    let zeros = |n| device.zeros(Dtype::F32, n, "output").expect("output");
    let buffers = vec![
        upload(rows * inputs, 1),
        upload(inputs * dim, 2),
        upload(rows, 3),
        zeros(rows * dim),
        zeros(rows * dim),
        zeros(rows),
        zeros(rows * dim),
        zeros(rows * dim),
    ];
    let matrix = |buffer, rows, cols| Some(Operand::dense(buffer, rows, cols));
    let outputs = matrix(3, rows, dim);
    let gemm = Gemm { m: rows, n: dim, k: inputs, trans_a: false, trans_b: false, activation: Activation::Tanh };
    let loss = SoftmaxLoss {
        rows,
        candidates: rows,
        dim,
        scale: 10.0,
        positive: Positive::Diagonal,
        correct_positive: false,
        mask_hits: false,
        smoothing: 0.0,
    };
    let mut reads = vec![None; loss.signature().reads.len()];
    reads[..3].copy_from_slice(&[outputs, matrix(4, rows, dim), matrix(2, rows, 1)]);
    let grads = [matrix(5, rows, 1), matrix(6, rows, dim), matrix(7, rows, dim), None];
    let layer = [matrix(0, rows, inputs), matrix(1, inputs, dim), None, None];
    let calls = vec![
        call(gemm, &layer, &[outputs]),
        call(L2Normalize { rows, dim }, &[outputs], &[matrix(4, rows, dim), None]),
        call(loss, &reads, &grads),
    ];
    let mut program = Program::new(device, buffers.clone(), calls).expect("program");
    program.run(&Step::new(1, 1, 0, rows as u32)).expect("run");
    buffers[3..].iter().map(|b| device.read_u32(b).expect("read")).collect()
}

#[test]
fn checks_do_not_change_the_bits() {
    let checked = GpuOptions { checked_shaders: true, ..Default::default() };
    for (trusted, checked) in open(GpuOptions::default()).iter().zip(open(checked)) {
        let got = tower_and_loss(trusted);
        assert!(got.iter().all(|b| b.iter().any(|w| *w != 0)), "an output is all zeros");
        assert!(got == tower_and_loss(&checked), "{trusted:?}");
    }
}

#[test]
fn what_cannot_run_is_refused_by_name() {
    let smallest = GpuOptions { default_limits: true, ..Default::default() };
    for device in open(smallest) {
        let error = refused(&device, "no_such_shader", vec![]);
        assert!(error.to_string().contains("no_such_shader"), "{error}");
        assert!(matches!(error, Error::Device(_)), "{error:?}");

        let error = refused(&device, "gather", vec![Binding::Read(0), Binding::Write(0)]);
        assert!(matches!(error, Error::Call { kernel: "given", .. }), "{error:?}");

        let error = refused(&device, "gather", vec![Binding::NoRead; 9]).to_string();
        assert!(error.contains("9 storage buffers") && error.contains("allows 8"), "{error}");

        // Bindings that are not the shader's: wgpu says so, and it is an error, not a panic.
        let error = refused(&device, "gather", vec![Binding::Read(0)]);
        assert!(matches!(error, Error::Device(_)), "{error:?}");
        assert!(error.to_string().contains("gather"), "{error}");

        let error = refused(&device, "gather", vec![Binding::Read(9)]);
        assert!(error.to_string().lines().count() == 1, "{error}");
    }
}

#[test]
fn a_buffer_of_another_device_is_refused() {
    let devices = open(GpuOptions::default());
    for (mine, other) in devices.iter().zip(open(GpuOptions::default())) {
        let lookup = Lookup::new(&other, 4, 4);
        let error = lookup.program(mine).err();
        assert!(matches!(error, Some(Error::Call { .. })), "{error:?}");
        let error = mine.read_f32(&lookup.out).err();
        assert!(matches!(error, Some(Error::Call { .. })), "{error:?}");
    }
}

#[test]
fn a_missing_adapter_is_named_with_what_there_is() {
    let adapters = Device::adapters();
    let index = adapters.len();
    let error = match Device::open(DeviceChoice::GpuIndex(index), 0) {
        Err(error @ Error::NoDevice(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(error.contains(&format!("gpu:{index}")), "{error}");
    for adapter in &adapters {
        assert!(error.contains(&adapter.name), "{error}");
    }
    assert!(adapters.iter().enumerate().all(|(i, a)| a.index == i));
}

#[test]
fn auto_never_takes_a_software_driver() {
    let hardware = Device::adapters().iter().any(|a| a.hardware && a.unusable.is_none());
    let device = Device::open(DeviceChoice::Auto, 1).expect("auto");
    assert_eq!(matches!(device, Device::Gpu(_)), hardware, "{device:?}");
    let note = Device::auto_note(&Device::adapters());
    assert_eq!(note.contains("takes the CPU"), !hardware, "{note}");
}
