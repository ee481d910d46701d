//! Which tiles matrix products take on a hardware GPU: timed once an adapter and driver, kept beside its pipelines.
//!
//! All variants sum ascending k in one f32 for each cell and cut k alike, so that a choice cannot be seen in results; one whose bits
//! differ all the same, because a driver contracts multiplication and addition in one and not in the other, is no candidate. A
//! software driver, and a device with no more than WebGPU's default limits, is never timed.

use super::cache::{adapter_name, checksum, folder};
use super::device::GpuDevice;
use super::own_files;
use super::program::GpuProgram;
use crate::kernels::{Activation, Gemm, Product};
use crate::{Buffer, Call, Dtype, Kernel, Operand, Operands, Result, Step, Variant};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// First word of a file: what it is, and the version of its form.
const MAGIC: &str = "rttiles1";
/// In the order in which ties are broken.
const VARIANTS: [(Variant, &str); 3] =
    [(Variant::Portable, "64x64"), (Variant::Vec4, "64x64-vec4"), (Variant::Wide, "128x128-vec4")];
/// The forms that training takes: forward, gradients of weights, gradients of inputs.
const FORMS: [(bool, bool, &str); 3] = [(false, false, "nn"), (true, false, "tn"), (false, true, "nt")];
/// A variant has to take less than this share of the portable one's time.
const WORTH: f64 = 0.97;
/// Operations of a timed run.
const FLOPS: f64 = 3e9;
const RUNS: usize = 3;

/// The variant of each form and size: `[form][big]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiles([[Variant; 2]; FORMS.len()]);

impl Tiles {
    /// The portable variant everywhere.
    pub(crate) const PORTABLE: Self = Self([[Variant::Portable; 2]; FORMS.len()]);

    pub(crate) fn of(&self, product: Product) -> Variant {
        let form = FORMS.iter().position(|(a, b, _)| (*a, *b) == (product.trans_a, product.trans_b));
        form.map_or(Variant::Portable, |form| self.0[form][usize::from(product.big)])
    }

    /// The best of what `measure` gives of each class: seconds of each variant, `None` for one that is out of the question.
    fn choose(mut measure: impl FnMut(Product) -> Result<[Option<f64>; VARIANTS.len()]>) -> Result<Self> {
        let mut tiles = Self::PORTABLE;
        for (form, (trans_a, trans_b, _)) in FORMS.into_iter().enumerate() {
            for big in [false, true] {
                let seconds = measure(Product { trans_a, trans_b, big })?;
                let mut least = seconds[0].unwrap_or(f64::INFINITY) * WORTH;
                for ((variant, _), seconds) in VARIANTS.iter().zip(seconds).skip(1) {
                    if let Some(seconds) = seconds.filter(|seconds| *seconds < least) {
                        least = seconds;
                        tiles.0[form][usize::from(big)] = *variant;
                    }
                }
            }
        }
        Ok(tiles)
    }

    /// One line a class.
    fn lines(&self) -> Vec<String> {
        let name = |of: Variant| VARIANTS.iter().find(|(variant, _)| *variant == of).map_or("?", |(_, name)| name);
        let line = |((_, _, form), sizes): (&(bool, bool, &str), &[Variant; 2])| {
            [("small", sizes[0]), ("big", sizes[1])].map(|(size, variant)| format!("{form} {size} {}", name(variant)))
        };
        FORMS.iter().zip(&self.0).flat_map(line).collect()
    }

    fn text(&self) -> String {
        let mut lines = vec![head()];
        lines.extend(self.lines());
        lines.join("\n") + "\n"
    }

    /// What a file says; `None` where it is not as it was written, or was written for other kernels.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != head() {
            return None;
        }
        let mut tiles = Self::PORTABLE;
        for (form, (.., name)) in FORMS.iter().enumerate() {
            for (big, size) in ["small", "big"].iter().enumerate() {
                let said = lines.next()?.strip_prefix(&format!("{name} {size} "))?;
                tiles.0[form][big] = VARIANTS.iter().find(|(_, name)| *name == said)?.0;
            }
        }
        lines.next().is_none().then_some(tiles)
    }
}

/// The first line of a file: other kernels are timed anew.
fn head() -> String {
    let sources = ["gemm", "gemm_vec4", "gemm_wide"].map(|stem| rt_shaders::source(stem).unwrap_or_default());
    format!("{MAGIC} {:016x}", checksum(sources.concat().as_bytes()))
}

/// The file of an adapter; `None` where nothing is to be kept.
fn file(info: &wgpu::AdapterInfo) -> Option<PathBuf> {
    Some(folder()?.join(format!("{}.tiles", adapter_name(info))))
}

fn read(file: &Path) -> Option<Tiles> {
    let tiles = Tiles::parse(&String::from_utf8(own_files::read(file).ok()?).unwrap_or_default());
    if tiles.is_none() {
        tracing::debug!("{}: not as it was written, products are timed anew", file.display());
    }
    tiles
}

/// What is kept for an adapter that is to be timed.
pub(crate) fn kept(info: &wgpu::AdapterInfo) -> Option<String> {
    read(&file(info)?).map(|tiles| tiles.lines().join(", "))
}

/// The tiles of a hardware GPU: those that are kept, else timed now and kept. Where no place is to keep them, or the timing
/// fails, the portable ones.
pub(crate) fn tiles(device: &GpuDevice, info: &wgpu::AdapterInfo) -> Tiles {
    let Some(file) = file(info) else { return Tiles::PORTABLE };
    kept_or(&file, &device.name(), || Tiles::choose(|product| measure(device, &example(product), FLOPS)))
}

fn kept_or(file: &Path, name: &str, time: impl FnOnce() -> Result<Tiles>) -> Tiles {
    if let Some(tiles) = read(file) {
        return tiles;
    }
    let start = Instant::now();
    match time() {
        Ok(tiles) => {
            let took = start.elapsed().as_secs_f64();
            tracing::info!("{name}: products timed in {took:.2} s: {}", tiles.lines().join(", "));
            if let Err(error) = own_files::write(file, tiles.text().as_bytes()) {
                tracing::debug!("{}: the choice is not kept: {error}", file.display());
            }
            tiles
        }
        Err(error) => {
            tracing::warn!("{name}: products cannot be timed, they take the portable tiles: {error}");
            Tiles::PORTABLE
        }
    }
}

/// A product of the class, as layers of a tower have it.
fn example(product: Product) -> Gemm {
    let Product { trans_a, trans_b, big } = product;
    let [m, n, k] = match (trans_a, big) {
        (false, false) => [1024, 256, 256],
        (false, true) => [4096, 512, 512],
        // The sum over the batch is long, and cut.
        (true, false) => [256, 256, 1024],
        (true, true) => [1024, 512, 4096],
    };
    Gemm { m, n, k, trans_a, trans_b, activation: Activation::None }
}

/// Seconds of so many operations by each variant, the least of some runs; `None` for a variant that the driver refuses or that has
/// other bits than the portable one.
fn measure(device: &GpuDevice, gemm: &Gemm, flops: f64) -> Result<[Option<f64>; VARIANTS.len()]> {
    let handle = crate::Device::Gpu(device.clone());
    let (m, n, k) = (gemm.m, gemm.n, gemm.k);
    let shape = |transposed, rows, cols| if transposed { (cols, rows) } else { (rows, cols) };
    let ((ra, ca), (rb, cb)) = (shape(gemm.trans_a, m, k), shape(gemm.trans_b, k, n));
    let mut buffers: Vec<Buffer> = Vec::new();
    for (words, seed) in [(m * k, 1), (k * n, 2)] {
        buffers.push(handle.upload_f32(&crate::philox::uniform(seed, 0, words, 1.0), "a product to time")?);
    }
    buffers.push(handle.zeros(Dtype::F32, m * n, "a product to time")?);
    let scratch = gemm.scratch(crate::Target::Gpu).first().copied().unwrap_or(1);
    buffers.push(handle.zeros(Dtype::F32, scratch, "a product to time")?);
    let call = Call {
        kernel: Arc::new(gemm.clone()),
        operands: Operands {
            reads: vec![Some(Operand::dense(0, ra, ca)), Some(Operand::dense(1, rb, cb)), None, None],
            writes: vec![Some(Operand::dense(2, m, n))],
            scratch: vec![Operand::dense(3, 1, scratch)],
        },
    };
    let repeats = ((flops / gemm.cost().flops).ceil() as usize).max(1);
    let calls = vec![call; repeats];
    let (mut seconds, mut bits) = ([None; VARIANTS.len()], None);
    for ((variant, _), seconds) in VARIANTS.iter().zip(&mut seconds) {
        // No buffer holds parts that wait: each product is whole.
        let mut program = match GpuProgram::of(device, &calls, &buffers, usize::MAX, Some(*variant)) {
            Ok(program) => program,
            Err(error) if *variant != Variant::Portable => {
                tracing::debug!("{}: refuses {variant:?} products: {error}", device.name());
                continue;
            }
            Err(error) => return Err(error),
        };
        // What another variant wrote must not pass for this one's.
        handle.write(&buffers[2], 0, &vec![f32::NAN.to_bits(); m * n])?;
        program.run(&Step::default())?;
        let own = handle.read_u32(&buffers[2])?;
        if *bits.get_or_insert_with(|| own.clone()) != own {
            continue;
        }
        let mut least = f64::INFINITY;
        for _ in 0..RUNS {
            let start = Instant::now();
            program.run(&Step::default())?;
            device.synchronize()?;
            least = least.min(start.elapsed().as_secs_f64());
        }
        *seconds = Some(least);
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceChoice, GpuOptions};

    #[test]
    fn the_fastest_variant_of_a_class_is_chosen() {
        let tiles = Tiles::choose(|product| {
            Ok(match (product.trans_a, product.trans_b, product.big) {
                (false, false, true) => [Some(1.0), Some(0.8), Some(0.5)],
                (false, false, false) => [Some(1.0), Some(0.8), Some(0.9)],
                (true, ..) => [Some(1.0), None, Some(0.98)], // not worth it
                _ => [Some(1.0), Some(1.2), None],
            })
        })
        .unwrap();
        let of = |trans_a, trans_b, big| tiles.of(Product { trans_a, trans_b, big });
        assert_eq!([of(false, false, false), of(false, false, true)], [Variant::Vec4, Variant::Wide]);
        assert_eq!([of(true, false, true), of(false, true, true)], [Variant::Portable; 2]);
        assert_eq!(of(true, true, true), Variant::Portable, "a form that nothing takes");
        let text = tiles.text();
        assert_eq!(Tiles::parse(&text), Some(tiles));
        for damaged in ["", &text[1..], &text[..text.len() - 2], &format!("{text}nn small 64x64\n")] {
            assert_eq!(Tiles::parse(damaged), None, "{damaged}");
        }
        assert_eq!(Tiles::parse(&text.replace("128x128-vec4", "96x96")), None);
    }

    #[test]
    fn a_choice_is_timed_once() {
        let file = std::env::temp_dir().join(format!("recall-tape-tiles-{}", std::process::id())).join("a.tiles");
        let chosen = Tiles([[Variant::Vec4, Variant::Wide]; FORMS.len()]);
        let failing = || Err(crate::Error::Device("busy".into()));
        assert_eq!(kept_or(&file, "test", failing), Tiles::PORTABLE);
        assert!(!file.exists(), "a failure is not kept");
        assert_eq!(kept_or(&file, "test", || Ok(chosen)), chosen);
        assert_eq!(kept_or(&file, "test", failing), chosen, "read, not timed");
        std::fs::write(&file, "rttiles1").unwrap();
        assert_eq!(kept_or(&file, "test", || Ok(chosen)), chosen, "damaged: timed again");
        std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }

    /// What is timed runs, and gives equal bits, wherever a driver is; what it took is not looked at.
    #[test]
    fn examples_are_of_their_class_and_variants_have_equal_bits() {
        for (trans_a, trans_b, _) in FORMS {
            for big in [false, true] {
                let product = Product { trans_a, trans_b, big };
                assert_eq!(example(product).product(), Some(product));
            }
        }
        let Ok(crate::Device::Gpu(device)) = crate::Device::open(DeviceChoice::Gpu, 0) else { return };
        let options = GpuOptions { default_limits: true, ..GpuOptions::default() };
        let device = GpuDevice::open_index(device.index(), options).unwrap();
        let gemm = Gemm { m: 130, n: 68, k: 516, trans_a: true, trans_b: false, activation: Activation::None };
        assert!(measure(&device, &gemm, 1.0).unwrap().iter().all(Option::is_some));
    }
}
