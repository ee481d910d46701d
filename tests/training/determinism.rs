//! Same seed, same bits; and the GPU's losses are the CPU's.

use super::{LOSSES, config, fit};
use rt_kernels::Target;
use rt_tests::devices;

#[test]
fn same_seed_same_bits_on_each_device_and_for_any_number_of_threads() {
    for (kind, settings) in LOSSES {
        let config = config(*kind, settings);
        let mut cpu = Vec::new();
        for device in devices() {
            let first = fit(device, &config, 3).0.sha256().unwrap();
            if device.target() == Target::Cpu {
                cpu.push(first.clone());
            } else {
                assert_eq!(first, fit(device, &config, 3).0.sha256().unwrap(), "{device:?} {settings:?}");
            }
        }
        // One thread, two threads, and again.
        cpu.push(fit(&devices()[1], &config, 3).0.sha256().unwrap());
        assert!(cpu.windows(2).all(|w| w[0] == w[1]), "{kind:?} {settings:?}: {cpu:?}");
        assert_ne!(cpu[0], fit(&devices()[0], &config, 4).0.sha256().unwrap(), "the seed changes nothing");
    }
}

#[test]
fn losses_of_the_gpu_are_those_of_the_cpu() {
    for (kind, settings) in LOSSES {
        let mut config = config(*kind, settings);
        config.batch = 64;
        let (_, cpu) = fit(&devices()[0], &config, 11);
        assert!(cpu.loss.len() >= 20, "too few steps to compare");
        for device in devices().iter().filter(|d| d.target() == Target::Gpu) {
            let (_, gpu) = fit(device, &config, 11);
            for (step, (a, b)) in cpu.loss.iter().zip(&gpu.loss).take(20).enumerate() {
                let off = (a - b).abs() / a.abs();
                assert!(off < 1e-3, "{device:?} {kind:?} {settings:?}, step {}: {a} and {b}", step + 1);
            }
        }
    }
}
