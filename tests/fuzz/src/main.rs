//! Runs hostile calls: of libFuzzer's bytes, or of seeds `FROM COUNT` with how many ran, were refused and panicked.
#![cfg_attr(feature = "libfuzzer", no_main)]

#[path = "../../src/hostile.rs"]
mod hostile;

use hostile::{Source, by_hand, program};
use rt_kernels::Device;
use rt_kernels::philox::{PhiloxRng, key};
use rt_kernels::rand_core::Rng;
use std::sync::OnceLock;

/// One thread: valgrind runs one at a time, and libFuzzer a process for each core.
fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| Device::cpu(1).expect("one thread"))
}

/// The first byte is the kernel, the lowest bit of the second the way. A fault ends the process with its message.
fn one(bytes: &[u8]) -> Option<(bool, hostile::Fate)> {
    let ([kernel, way], rest) = bytes.split_first_chunk()?;
    let number = usize::from(*kernel) % Source::KERNELS;
    let run = || match way % 4 {
        0 => program(device(), &mut Source::edge(rest), number),
        1 | 2 => program(device(), &mut Source::new(rest), number),
        _ => by_hand(&mut Source::new(rest), number),
    };
    let fate = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|fault| {
        let text = fault.downcast_ref::<String>().map_or("a panic", String::as_str);
        eprintln!("kernel {number}, way {}: {text}", way % 4);
        std::process::abort()
    });
    Some((way % 4 == 3, fate))
}

#[cfg(feature = "libfuzzer")]
libfuzzer_sys::fuzz_target!(
    // libFuzzer's own hook ends the process at every panic; here most are caught.
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| {
        let _ = one(bytes);
    }
);

#[cfg(not(feature = "libfuzzer"))]
fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("numbers: FROM COUNT"));
    let (from, count) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(1000));
    std::panic::set_hook(Box::new(|_| {}));
    let mut fates = std::collections::BTreeMap::new();
    for seed in from..from + count {
        let mut bytes = [0; 640];
        PhiloxRng::at(key(seed), [0, 7, 0, 0]).fill_bytes(&mut bytes);
        if let Some((by_hand, fate)) = one(&bytes) {
            let way = if by_hand { "by hand" } else { "program" };
            *fates.entry(format!("{way}: {fate:?}")).or_insert(0u64) += 1;
        }
    }
    println!("{count} calls: {fates:?}");
}
