//! Random tapes against the f64 reference.

use rt_tensor::{Fault, RandomTape};
use rt_tests::devices;
use std::collections::BTreeMap;

/// Tapes of the CPU's run, and of an adapter's.
const TAPES: [u64; 2] = [300, 8];

/// Seeds of this run are so far from those of others.
const FIRST: u64 = 1_000;

/// Fails with the listing and the seed of a tape that fails.
fn hold(device: &rt_tensor::Device, random: &RandomTape) {
    let check = random.check(device);
    if let Some(fault) = check.fault() {
        let small = random.shrink(device);
        let listing = small.record().map_or_else(|e| e.to_string(), |tape| tape.listing());
        panic!(
            "{device:?}: {fault}\nof {:?}; `recall gradcheck --random 1 --seed {}` makes it again\n{listing}",
            small.ops(),
            random.seed()
        );
    }
}

#[test]
fn every_op_has_an_entry() {
    for name in RandomTape::names() {
        for seed in 0..5 {
            let random = RandomTape::of_op(name, seed);
            let tape = random.record().unwrap_or_else(|e| panic!("{name}, seed {seed}: {e}"));
            assert!(tape.has_op(name), "the entry of `{name}` records another op:\n{}", tape.listing());
            hold(&devices()[0], &random);
        }
    }
}

#[test]
fn random_tapes_on_every_device() {
    let mut drawn: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, device) in devices().iter().enumerate() {
        // One thread or two make no difference that this could see.
        let count = if number == 1 { 0 } else { TAPES[number.min(1)] };
        for seed in FIRST..FIRST + count {
            let random = RandomTape::new(seed);
            hold(device, &random);
            for op in random.ops() {
                *drawn.entry(op).or_default() += 1;
            }
        }
    }
    for name in RandomTape::names() {
        assert!(drawn.get(name).is_some_and(|n| *n >= 5), "`{name}` was drawn too rarely: {drawn:?}");
    }
}

/// In tapes that nobody wrote down each kind of fault is found, on the CPU at most of the places that are drawn for it (a sign is lost
/// on a gradient that is zero), on the last adapter once. What is named is a parameter that the fault reaches.
#[test]
fn each_planted_fault_is_found_in_random_tapes() {
    let adapters = devices().iter().skip(1).last().into_iter().map(|device| (device, true));
    for (device, once) in std::iter::once((&devices()[0], false)).chain(adapters) {
        for fault in Fault::ALL {
            let (mut planted, mut found) = (0, 0);
            for seed in FIRST..FIRST + 40 {
                let random = RandomTape::new(seed);
                let tape = random.record().unwrap();
                let places = tape.fault_places(fault);
                let Some(place) = places.get(seed as usize % places.len().max(1)) else { continue };
                planted += 1;
                let (store, step) = random.store(device, &tape).unwrap();
                let wrong = tape.with_fault(fault, *place).unwrap();
                let check = rt_tensor::check_gradients(&wrong, &store, &step, usize::MAX, |_| Ok(())).unwrap();
                let reached = tape.fault_reaches(fault, *place);
                for p in check.parameters.iter().filter(|p| p.fault.is_some()) {
                    let about = format!("{device:?}, seed {seed}: {fault:?} at {place:?}");
                    assert!(reached.contains(&p.parameter), "{about}: {p:?}, and it reaches {reached:?}");
                }
                found += usize::from(check.fault().is_some());
                if once && found > 0 {
                    break;
                }
            }
            println!("{device:?}: {fault:?}: {found} of {planted}");
            let enough = if once { found > 0 } else { planted >= 10 && found * 4 >= planted * 3 };
            assert!(enough, "{device:?}: {fault:?}: {found} of {planted}");
        }
    }
}
