//! Every dispatch of every kernel against the shader that it names: bindings, structs, limits, and translation to
//! the languages of the three kinds of driver.

use crate::reflect::{Declared, Kind, declared, fixed, workgroup_bytes};
use naga::back::{hlsl, msl, spv};
use naga::valid::ModuleInfo;
use naga::{Module, ShaderStage, Statement};
use rt_kernels::{Binding, Dispatch, MOST_ITERATIONS, Step, Variant};
use rt_tests::representative_kernels;
use std::collections::BTreeSet;
use std::mem::offset_of;

/// The dispatches of all variants of all representative kernels, with the kernel's name.
fn dispatches() -> Vec<(&'static str, Dispatch)> {
    representative_kernels()
        .iter()
        .flat_map(|case| {
            let variants = [Variant::Portable].into_iter().chain(case.kernel.variants());
            let all: Vec<_> = variants.flat_map(|v| case.kernel.dispatches_as(&case.operands, v)).collect();
            let name = case.kernel.name();
            assert!(all.len() == all.iter().filter(|d| d.workgroups > 0).count(), "{name}: empty grid");
            all.into_iter().map(move |d| (name, d))
        })
        .collect()
}

/// The same, one of each (shader, constants).
fn variants() -> Vec<(&'static str, Dispatch)> {
    let mut seen = BTreeSet::new();
    let mut all = dispatches();
    all.retain(|(_, d)| seen.insert(format!("{} {:?}", d.shader, d.constants)));
    all
}

#[test]
fn every_shader_is_dispatched() {
    let used: BTreeSet<&str> = dispatches().iter().map(|(_, d)| d.shader).collect();
    let there: BTreeSet<&str> = rt_shaders::ALL.iter().map(|(stem, _)| *stem).collect();
    let idle: Vec<_> = there.difference(&used).collect();
    assert!(idle.is_empty(), "no representative kernel dispatches {idle:?}");
}

#[test]
fn bindings_agree() {
    for (kernel, dispatch) in dispatches() {
        let (module, _) = fixed(&dispatch).unwrap_or_else(|e| panic!("{kernel}: {e}"));
        let at = format!("{kernel}, {}.wgsl", dispatch.shader);
        let (uniforms, storage): (Vec<Declared>, Vec<Declared>) =
            declared(&module).into_iter().partition(|d| d.kind == Kind::Uniform);

        let kinds: Vec<Kind> = storage.iter().map(|d| d.kind).collect();
        let wanted: Vec<Kind> = dispatch
            .bindings
            .iter()
            .map(|b| match b {
                Binding::Read(_) | Binding::NoRead => Kind::Read,
                Binding::Write(_) | Binding::NoWrite => Kind::ReadWrite,
            })
            .collect();
        assert_eq!(kinds, wanted, "{at}: storage bindings {storage:?}");
        for (i, d) in storage.iter().enumerate() {
            assert_eq!(d.binding as usize, i + 2, "{at}: place of `{}`", d.name);
        }
        assert!(storage.len() <= 7, "{at}: {} storage bindings", storage.len());

        let params = uniforms.iter().find(|d| d.binding == 0);
        let bytes = params.map_or(0, |d| d.bytes.next_multiple_of(16));
        let given = (dispatch.params.len() as u32 * 4).next_multiple_of(16);
        assert_eq!(bytes, given, "{at}: bytes of Params, and of the words that are given");
        let step = uniforms.iter().find(|d| d.binding == 1);
        assert_eq!(step.is_some(), dispatch.step, "{at}: the step uniform");
        if let Some(step) = step {
            check_step(&at, step);
        }
        assert!(uniforms.iter().all(|d| d.binding < 2), "{at}: uniforms {uniforms:?}");
    }
}

fn check_step(at: &str, step: &Declared) {
    let fields = [
        ("step", offset_of!(Step, step)),
        ("offset", offset_of!(Step, offset)),
        ("valid", offset_of!(Step, valid)),
        ("seed_lo", offset_of!(Step, seed_lo)),
        ("seed_hi", offset_of!(Step, seed_hi)),
        ("lr", offset_of!(Step, lr)),
        ("lr_rows", offset_of!(Step, lr_rows)),
        ("bias1", offset_of!(Step, bias1)),
        ("bias2", offset_of!(Step, bias2)),
        ("inv_valid", offset_of!(Step, inv_valid)),
        ("ln_negatives", offset_of!(Step, ln_negatives)),
        ("bias1_rows", offset_of!(Step, bias1_rows)),
        ("bias2_rows", offset_of!(Step, bias2_rows)),
    ];
    let named: Vec<(&str, usize)> = step.members[..fields.len().min(step.members.len())]
        .iter()
        .map(|(name, offset)| (name.as_str(), *offset as usize))
        .collect();
    assert_eq!(named, fields, "{at}: fields of Step");
    assert_eq!(step.bytes as usize, size_of::<Step>(), "{at}: bytes of Step");
}

/// Does a block loop, or what stands in it?
fn loops(block: &naga::Block) -> bool {
    block.iter().any(|statement| match statement {
        Statement::Loop { .. } => true,
        Statement::Block(block) => loops(block),
        Statement::If { accept, reject, .. } => loops(accept) || loops(reject),
        Statement::Switch { cases, .. } => cases.iter().any(|case| loops(&case.body)),
        _ => false,
    })
}

/// Software drivers end an invocation that loops too long, so that every launch says how long that is.
#[test]
fn who_loops_says_how_long_and_keeps_to_the_bound() {
    for (kernel, dispatch) in dispatches() {
        let (module, _) = fixed(&dispatch).unwrap_or_else(|e| panic!("{kernel}: {e}"));
        let bodies =
            module.functions.iter().map(|(_, f)| &f.body).chain(module.entry_points.iter().map(|e| &e.function.body));
        let looping = bodies.into_iter().any(loops);
        let (shader, said) = (dispatch.shader, dispatch.iterations);
        assert!(looping == (said > 0), "{kernel}, {shader}.wgsl: loops: {looping}, iterations that it states: {said}");
        assert!(said <= MOST_ITERATIONS, "{kernel}, {shader}.wgsl: {said} iterations at an everyday shape");
    }
}

#[test]
fn workgroups_keep_to_default_limits() {
    for (kernel, dispatch) in variants() {
        let (module, _) = fixed(&dispatch).unwrap_or_else(|e| panic!("{kernel}: {e}"));
        let size = module.entry_points[0].workgroup_size;
        let at = format!("{kernel}, {}.wgsl {:?}", dispatch.shader, dispatch.constants);
        assert!(size.iter().product::<u32>() <= 256, "{at}: workgroup of {size:?}");
        assert!(size[2] <= 64, "{at}: workgroup of {size:?}");
        let bytes = workgroup_bytes(&module);
        assert!(bytes <= 16_384, "{at}: {bytes} bytes of workgroup memory");
    }
}

#[test]
fn every_shipped_variant_translates() {
    for (kernel, dispatch) in variants() {
        let at = format!("{kernel}, {}.wgsl {:?}", dispatch.shader, dispatch.constants);
        let (module, info) = fixed(&dispatch).unwrap_or_else(|e| panic!("{at}: {e}"));
        let entry = module.entry_points[0].name.clone();
        to_spirv(&module, &info, &entry).unwrap_or_else(|e| panic!("{at}: SPIR-V: {e}"));
        to_metal(&module, &info, &entry).unwrap_or_else(|e| panic!("{at}: MSL: {e}"));
        to_hlsl(&module, &info, &entry).unwrap_or_else(|e| panic!("{at}: HLSL: {e}"));
    }
}

fn to_spirv(module: &Module, info: &ModuleInfo, entry: &str) -> Result<(), String> {
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry.to_owned() };
    let words = spv::write_vec(module, info, &spv::Options::default(), Some(&pipeline)).map_err(|e| e.to_string())?;
    (words.len() > 5).then_some(()).ok_or_else(|| "empty".to_owned())
}

fn to_metal(module: &Module, info: &ModuleInfo, entry: &str) -> Result<(), String> {
    let options = msl::Options { lang_version: (2, 0), ..Default::default() };
    let pipeline =
        msl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry.to_owned())), ..Default::default() };
    let (text, translation) = msl::write_string(module, info, &options, &pipeline).map_err(|e| e.to_string())?;
    for name in translation.entry_point_names {
        name.map_err(|e| e.to_string())?;
    }
    text.contains("kernel void").then_some(()).ok_or_else(|| "no kernel".to_owned())
}

fn to_hlsl(module: &Module, info: &ModuleInfo, entry: &str) -> Result<(), String> {
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry.to_owned())) };
    let options = hlsl::Options::default();
    let mut text = String::new();
    let reflection =
        hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None).map_err(|e| e.to_string())?;
    for name in reflection.entry_point_names {
        name.map_err(|e| e.to_string())?;
    }
    text.contains("numthreads").then_some(()).ok_or_else(|| "no numthreads".to_owned())
}
