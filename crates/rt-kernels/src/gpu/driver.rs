//! What drivers do that WGSL leaves open: how long an invocation may loop, and what becomes of NaN.

use crate::MOST_ITERATIONS;

/// The most iterations that an invocation can be relied on to finish. Software drivers are held to llvmpipe's bound, whichever they
/// are (Mesa calls it `LP_MAX_TGSI_LOOP_ITERATIONS`); hardware ends submissions by time alone.
pub(super) fn most_iterations(hardware: bool) -> usize {
    if hardware { usize::MAX } else { MOST_ITERATIONS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Inner;
    use crate::{Buffer, Device, DeviceChoice, Dtype};

    /// Every adapter of this machine that can be used, its name and backend.
    fn adapters() -> Vec<(String, Device)> {
        let usable = Device::adapters().into_iter().filter(|a| a.unusable.is_none());
        let open = |a: crate::Adapter| {
            let device = Device::open(DeviceChoice::GpuIndex(a.index), 0).expect("a usable adapter opens");
            (format!("{} ({})", a.name, a.backend), device)
        };
        let found: Vec<_> = usable.map(open).collect();
        let required = std::env::var("RECALL_REQUIRE_GPU").is_ok_and(|v| v == "1");
        assert!(!found.is_empty() || !required, "RECALL_REQUIRE_GPU=1 and no adapter was found");
        found
    }

    /// Runs `main` of a shader that reads `input` at binding 0 and writes `output` at binding 1, one workgroup.
    fn probe(device: &Device, text: &str, input: &[u32], words: usize) -> Vec<u32> {
        let Device::Gpu(gpu) = device else { panic!("an adapter is a GPU") };
        let raw = gpu.raw();
        let declared = "@group(0) @binding(0) var<storage, read> input: array<u32>;
            @group(0) @binding(1) var<storage, read_write> output: array<u32>;";
        let source = wgpu::ShaderSource::Wgsl(format!("{declared}\n{text}").into());
        let module = raw.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let buffers = [device.upload_u32(input, "input").unwrap(), device.zeros(Dtype::U32, words, "output").unwrap()];
        let resource = |buffer: &Buffer| match &buffer.inner {
            Inner::Gpu(buffer) => buffer.buffer.clone(),
            Inner::Cpu(_) => panic!("a buffer of a GPU"),
        };
        let own = [resource(&buffers[0]), resource(&buffers[1])];
        let entries: Vec<_> = (0..)
            .zip(&own)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let layout = &pipeline.get_bind_group_layout(0);
        let group = raw.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        let mut encoder = raw.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
        drop(pass);
        gpu.submit([encoder.finish()]);
        device.read_u32(&buffers[1]).unwrap()
    }

    /// Counts in two loops, one within another: how many iterations an invocation got through.
    fn iterations(device: &Device, outer: u32, inner: u32) -> u32 {
        let text = "@compute @workgroup_size(1) fn main() {
            for (var i = 0u; i < input[0]; i += 1u) {
                for (var j = 0u; j < input[1]; j += 1u) { output[0] += 1u; }
            }
        }";
        probe(device, text, &[outer, inner], 1)[0]
    }

    #[test]
    fn no_driver_ends_an_invocation_within_the_bound() {
        for (name, device) in adapters() {
            let hardware = matches!(&device, Device::Gpu(gpu) if gpu.adapter().hardware);
            let most = most_iterations(hardware).min(1 << 20) as u32;
            // The inner loop's iterations and the outer one's count together, and the pass that ends a loop counts too.
            let whole = |outer: u32, inner: u32| iterations(&device, outer, inner) == outer * inner;
            assert!(whole(1, most - 1), "{name}: one loop of {most}");
            let outer = most / 102 - 1;
            assert!(whole(outer, 100), "{name}: {outer} times 100 within {most}");
            // The bound is llvmpipe's own: a driver that goes on does no harm, but this one is known to stop.
            if name.contains("llvmpipe") {
                assert!(!whole(1, most + 1), "{name} got through more than {most}: its bound is another by now");
                assert!(!whole(outer + 2, 100), "{name} counts loops apart by now");
            }
        }
    }

    /// What becomes of NaN: (expression of x, does every driver have to keep it).
    const NANS: [(&str, bool); 18] = [
        ("x + 1.0", true),
        ("x * 0.0", false),
        ("fma(x, 2.0, 1.0)", true),
        ("max(x, 0.0)", false),
        ("max(0.0, x)", false),
        ("min(x, 0.0)", false),
        ("clamp(x, -20.0, 20.0)", false),
        ("select(x, 0.0, x < 0.0)", false),
        ("select(0.0, x, x > 0.0)", false),
        ("select(x, -80.0, x < -80.0)", false),
        ("select(x, x, x < 0.0)", false),
        ("select(0.0, x, x != x)", false),
        ("sqrt(x)", false),
        ("exp(x)", false),
        ("log(x)", false),
        ("tanh(x)", false),
        ("bitcast<f32>(select(bitcast<u32>(x), 0u, bitcast<u32>(x) - 0x80000000u <= 0x7f800000u))", true),
        ("bitcast<f32>(select(0u, bitcast<u32>(x * 2.0), (bitcast<u32>(x * 2.0) & 0x7fffffffu) > 0x7f800000u))", true),
    ];

    #[test]
    fn drivers_keep_nan_in_arithmetic_and_in_words() {
        // The compiler must not know the value: it comes from a buffer. The last word is a number.
        let input = [0x7FC0_0000, 0xFFC0_0000, 0x7F80_0001, 0x3F80_0000];
        for (name, device) in adapters() {
            for (expression, keeps) in NANS {
                let text = format!(
                    "@compute @workgroup_size(4) fn main(@builtin(local_invocation_index) lane: u32) {{
                        let x = bitcast<f32>(input[lane]);
                        output[lane] = bitcast<u32>({expression});
                    }}"
                );
                let out = probe(&device, &text, &input, 4);
                let kept: Vec<bool> = out[..3].iter().map(|w| f32::from_bits(*w).is_nan()).collect();
                println!("{name} | {expression} | {}", if kept == [true; 3] { "NaN" } else { "dropped" });
                assert!(!keeps || kept == [true; 3], "{name}: {expression} gives {out:x?}");
                assert!(!f32::from_bits(out[3]).is_nan(), "{name}: {expression} of one is NaN");
            }
        }
    }
}
