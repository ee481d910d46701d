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
    let mut rows = Vec::new();
    for &items in &args.items {
        let index = Index::new(&device, &vectors(items, args.dim, global.seed, 0), args.dim)?;
        for &queries in &args.queries {
            let kernel = Search { queries, items, dim: args.dim, k: args.k.min(items), first: 0 };
            let mut seconds = Vec::new();
            for run in 0..=args.runs {
                // New queries each run.
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
            let id = format!("search/main/{}/{queries}of{items}x{},top{}", kind(&device), args.dim, args.k);
            let cost = kernel.cost();
            let mut row = Row::new(id, seconds, cost.bytes, cost.flops);
            row.peak_memory_bytes = peak_memory_bytes();
            row.more.insert("queries_per_second".into(), (queries as f64 / row.ms * 1e3).into());
            rows.push(row);
        }
    }
    let ceilings = measure_ceilings(&device, &mut rows)?;
    say!("{}", device.name());
    report(global, "bench retrieve", &device, rows, &ceilings)
}

/// Rows of small numbers, uniform in [-1, 1).
fn vectors(rows: usize, dim: usize, seed: u64, number: u32) -> Vec<f32> {
    let mut words = vec![0u32; rows * dim];
    philox::draws(philox::key(seed), number, 11, 0, &mut words);
    words.iter().map(|w| *w as f32 / 2_147_483_648.0 - 1.0).collect()
}
