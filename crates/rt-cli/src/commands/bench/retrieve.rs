//! `recall bench retrieve`: exact top-k over many items.

use super::{Row, kind, measure_ceilings, report};
use crate::args::{BenchRetrieve, Global};
use crate::fail::{Done, Fail};
use rt_kernels::Kernel as _;
use rt_kernels::kernels::Search;
use rt_kernels::philox;
use rt_models::Index;
use rt_models::eval::peak_memory_bytes;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &BenchRetrieve) -> Done {
    for (flag, list) in [("--runs", &[args.runs][..]), ("-k", &[args.k]), ("--items", &args.items)] {
        if list.contains(&0) {
            return Err(Fail::user(format!("{flag} 0: at least 1 is needed")));
        }
    }
    if args.queries.contains(&0) || args.dim == 0 {
        return Err(Fail::user("--queries and --dim: at least 1 is needed"));
    }
    let device = crate::commands::open(global)?;
    let vectors = |items| vectors(items, args.dim, global.seed, 0);
    let (mut rows, mut plain) = (Vec::new(), Vec::new());
    for &items in &args.items {
        let vectors_of = vectors(items);
        let start = Instant::now();
        let index = Index::new(&device, &vectors_of, args.dim)?;
        let index_ms = start.elapsed().as_secs_f64() * 1e3;
        drop(vectors_of);
        let first = rows.len();
        for &queries in &args.queries {
            let mut row = time(global, args, &device, ("main", &index), [items, queries])?;
            row.more.insert("index_ms".into(), index_ms.into());
            rows.push(row);
        }
        if !index.has_codes() {
            continue;
        }
        drop(index);
        let index = Index::without_codes(&device, &vectors(items), args.dim)?;
        for (&queries, main) in args.queries.iter().zip(&mut rows[first..]) {
            let row = time(global, args, &device, ("f32", &index), [items, queries])?;
            main.more.insert("times_f32".into(), (row.ms / main.ms).into());
            plain.push(row);
        }
    }
    rows.extend(plain);
    let ceilings = measure_ceilings(&device, &mut rows)?;
    say!("{}", device.name());
    let mut notes = Vec::new();
    for row in rows.iter_mut().filter(|row| row.more.contains_key("times_f32")) {
        // Most items cost neither the bytes nor the products that the ceiling counts.
        let (bytes, flops) = (row.gb_s / ceilings.copy_gb_s, row.gflop_s / ceilings.fma_gflop_s);
        row.more.insert("f32_ceilings".into(), bytes.max(flops).into());
        let times = row.more["times_f32"].as_f64().unwrap_or(f64::NAN);
        notes.push(format!("{}: {times:.1}x of f32, {:.2}x of its ceiling", row.id, bytes.max(flops)));
    }
    report(global, "bench retrieve", &device, rows, &ceilings)?;
    if !notes.is_empty() {
        say!("main passes over most items by codes of 8 bits, with the same result; f32 takes all products:");
        notes.iter().for_each(|note| say!("{note}"));
    }
    Ok(())
}

/// Searches with new queries each run.
fn time(
    global: &Global,
    args: &BenchRetrieve,
    device: &rt_models::Device,
    (variant, index): (&str, &Index),
    [items, queries]: [usize; 2],
) -> Done<Row> {
    let kernel = Search { queries, items, dim: args.dim, k: args.k.min(items), first: 0, coded: false };
    let mut seconds = Vec::new();
    for run in 0..=args.runs {
        let queries = vectors(queries, args.dim, global.seed, 1 + run as u32);
        let start = Instant::now();
        let found = index.search(&queries, &[], args.k)?;
        if run > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
        if found.iter().any(|list| list.len() != kernel.k) {
            return Err(Fail::machine("a search found fewer items than it should"));
        }
    }
    let id = format!("search/{variant}/{}/{queries}of{items}x{},top{}", kind(device), args.dim, args.k);
    let cost = kernel.cost();
    let mut row = Row::new(id, seconds, cost.bytes, cost.flops);
    row.peak_memory_bytes = peak_memory_bytes();
    row.more.insert("queries_per_second".into(), (queries as f64 / row.ms * 1e3).into());
    Ok(row)
}

/// Rows of small numbers, uniform in [-1, 1).
fn vectors(rows: usize, dim: usize, seed: u64, number: u32) -> Vec<f32> {
    let mut words = vec![0u32; rows * dim];
    philox::draws(philox::key(seed), number, 11, 0, &mut words);
    words.iter().map(|w| *w as f32 / 2_147_483_648.0 - 1.0).collect()
}
