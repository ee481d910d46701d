//! Exact retrieval: the k best items of the catalogue by dot product, on the model's device.

use crate::model::{Model, Query};
use crate::{Error, Result};
use rt_kernels::kernels::TopK;
use rt_kernels::{Call, Device, Dtype, Operand, Operands, Program, Step};
use std::sync::Arc;

/// The `k` best items for one user: (dense item, score), best first, ties in ascending id. Items of `exclude` and items
/// that are not in the catalogue never appear; fewer than `k` are given where fewer are left.
pub(crate) fn top_k(model: &Model, query: &Query<'_>, exclude: &[u32], k: usize) -> Result<Vec<(u32, f32)>> {
    let items = model.data.items.rows();
    let mut scores = vec![0.0; items];
    model.scores(std::slice::from_ref(query), &mut scores)?;
    if scores.iter().any(|s| !s.is_finite()) {
        return Err(Error::Evaluation("a score is not a finite number: the model's weights are damaged".into()));
    }
    let mut ranked = vec![false; items];
    for &item in &model.data.catalogue {
        ranked[item as usize] = true;
    }
    for &item in exclude {
        if let Some(r) = ranked.get_mut(item as usize) {
            *r = false;
        }
    }
    let excluded: Vec<u32> = (0..items as u32).filter(|i| !ranked[*i as usize]).collect();
    let k = k.min(items - excluded.len());
    if k == 0 {
        return Ok(Vec::new());
    }
    select(model.device(), &scores, &excluded, k)
}

fn select(device: &Device, scores: &[f32], excluded: &[u32], k: usize) -> Result<Vec<(u32, f32)>> {
    let buffers = vec![
        device.upload_f32(scores, "scores")?,
        device.upload_u32(&[0, excluded.len() as u32], "excluded items")?,
        device.upload_u32(excluded, "excluded items")?,
        device.zeros(Dtype::F32, k, "top-k scores")?,
        device.zeros(Dtype::U32, k, "top-k items")?,
    ];
    let operands = Operands {
        reads: vec![
            Some(Operand::dense(0, 1, scores.len())),
            Some(Operand::dense(1, 1, 2)),
            Some(Operand::dense(2, excluded.len(), 1)),
        ],
        writes: vec![Some(Operand::dense(3, 1, k)), Some(Operand::dense(4, 1, k))],
        scratch: Vec::new(),
    };
    let kernel = Arc::new(TopK { queries: 1, items: scores.len(), k, first: 0 });
    let mut program = Program::new(device, buffers.clone(), vec![Call { kernel, operands }])?;
    program.run(&Step::default())?;
    let (values, ids) = (device.read_f32(&buffers[3])?, device.read_u32(&buffers[4])?);
    Ok(ids.into_iter().zip(values).filter(|(id, _)| *id != u32::MAX).collect())
}
