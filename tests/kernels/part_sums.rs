//! Parts of products put together, on every device, to the bit; and products that wait for it inside a program.

use rt_kernels::kernels::{Activation, Add, Gemm, PartSum, PartSums};
use rt_kernels::{Call, Dtype, Operand, Operands, Program, Step, Target};
use rt_tests::{LAYS, Lay, Want, devices_with_checks, f, hold, out_f, run, uniform};
use std::sync::Arc;

/// Parts, rows and columns of a product.
type Shape = (usize, usize, usize);

#[test]
fn parts_are_added_in_order() {
    #[rustfmt::skip] // a table
    let cases: &[(&str, &[Shape])] = &[
        // why it is here                    parts, rows, columns of each
        ("one cell",                         &[(2, 1, 1)]),
        ("two that end within a workgroup",  &[(3, 5, 7), (8, 3, 11)]),
        ("more than a dispatch lists",       &[(4, 3, 5); 19]),
        ("nothing to write, and threads",    &[(2, 0, 4), (8, 130, 65), (1, 900, 40)]),
    ];
    for (what, shapes) in cases {
        let list = shapes.iter().map(|&(parts, rows, cols)| PartSum { parts, rows, cols }).collect();
        let parts: Vec<Vec<f32>> = shapes.iter().zip(1..).map(|(s, seed)| uniform(s.0 * s.1 * s.2, seed)).collect();
        let sum = |(s, x): (&Shape, &Vec<f32>)| {
            let cells = s.1 * s.2;
            Want::floats((0..cells).map(|c| (0..s.0).fold(0.0, |sum, p| sum + x[p * cells + c])).collect::<Vec<_>>())
        };
        let want: Vec<Want> = shapes.iter().zip(&parts).map(sum).collect();
        let reads: Vec<_> = shapes.iter().zip(&parts).map(|(s, x)| f(x, s.0, s.1 * s.2)).collect();
        let writes: Vec<_> = shapes.iter().map(|s| out_f(s.1, s.2)).collect();
        // Parts are dense: a layout with gaps is for the outs alone, and `run` lays out both alike.
        hold(what, &PartSums { list }, &Step::default(), &LAYS[..1], &reads, &writes, &want);
    }
}

/// Three deep products into one buffer, the last of them over the first one's place, with a reader between.
#[test]
fn sums_that_wait_are_there_when_they_are_wanted() {
    let (m, n, k) = (20, 12, 3_000);
    let gemm = Gemm { m, n, k, trans_a: true, trans_b: false, activation: Activation::None };
    let (a, b) = (uniform(k * m, 1), uniform(k * n * 3, 2));
    let part = |i: usize| &b[i * k * n..][..k * n];
    for device in devices_with_checks().iter().filter(|d| d.target() == Target::Gpu) {
        let alone = |i| {
            let reads = [f(&a, k, m), f(part(i), k, n), None, None];
            run(device, gemm.clone(), &Step::default(), Lay::Dense, &reads, &[out_f(m, n)])[0].clone().unwrap()
        };
        let [one, two, three] = [0, 1, 2].map(alone);
        let put = |x: &[f32]| device.upload_f32(x, "test operand").unwrap();
        let outs = device.zeros(Dtype::F32, 2 * m * n, "outs").unwrap();
        let sums = device.zeros(Dtype::F32, m * n, "sums").unwrap();
        let buffers = vec![put(&a), put(part(0)), put(part(1)), put(part(2)), outs.clone(), sums.clone()];
        let out = |i: usize| Operand { offset: i * m * n, ..Operand::dense(4, m, n) };
        let product = |i: usize, place| Call {
            kernel: Arc::new(gemm.clone()),
            operands: Operands {
                reads: vec![Some(Operand::dense(0, k, m)), Some(Operand::dense(1 + i, k, n)), None, None],
                writes: vec![Some(out(place))],
                scratch: vec![],
            },
        };
        let add = Call {
            kernel: Arc::new(Add { rows: m, cols: n }),
            operands: Operands {
                reads: vec![Some(out(0)), Some(out(1))],
                writes: vec![Some(Operand::dense(5, m, n))],
                scratch: vec![],
            },
        };
        let calls = vec![product(0, 0), product(1, 1), add, product(2, 0)];
        let mut program = Program::new(device, buffers, calls).unwrap();
        let launches: Vec<_> = program.launches().into_iter().map(|(_, shader)| shader).collect();
        let of = |shader| launches.iter().filter(|l| **l == shader).count();
        assert_eq!((launches.len(), of("part_sums"), of("gemm_sum")), (6, 2, 0), "{launches:?}");
        for _ in 0..2 {
            program.run(&Step::default()).unwrap();
        }
        let cells = |i: usize| device.read_u32(&outs).unwrap()[i * m * n..][..m * n].to_vec();
        assert!(cells(0) == three && cells(1) == two, "{device:?}");
        let both = one.iter().zip(&two).map(|(a, b)| (f32::from_bits(*a) + f32::from_bits(*b)).to_bits());
        assert!(device.read_u32(&sums).unwrap() == both.collect::<Vec<_>>(), "{device:?}: read before it was there");
    }
}
