//! What naga says about a shader, before and after its overrides are fixed.

use naga::back::PipelineConstants;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};
use rt_kernels::Dispatch;

/// Parses and validates. Subgroup operations and f16 are allowed in files whose name says so.
pub(crate) fn parse(stem: &str, source: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string_with_path(source, stem))?;
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, stem.contains("subgroup"));
    capabilities.set(Capabilities::SHADER_FLOAT16, stem.contains("f16"));
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|e| e.emit_to_string_with_path(source, stem))?;
    Ok((module, info))
}

/// The shader of a dispatch with its constants in place of the overrides.
pub(crate) fn fixed(dispatch: &Dispatch) -> Result<(Module, ModuleInfo), String> {
    let source = rt_shaders::source(dispatch.shader).ok_or_else(|| format!("there is no {}.wgsl", dispatch.shader))?;
    let (module, info) = parse(dispatch.shader, source)?;
    let mut constants = PipelineConstants::default();
    for (name, value) in &dispatch.constants {
        constants.insert((*name).to_owned(), *value);
    }
    let entry = Some((ShaderStage::Compute, module.entry_points[0].name.as_str()));
    let (fixed, info) = naga::back::pipeline_constants::process_overrides(&module, &info, entry, &constants)
        .map_err(|e| format!("{}: {e}", dispatch.shader))?;
    Ok((fixed.into_owned(), info.into_owned()))
}

/// A buffer that a shader declares in group 0.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) binding: u32,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Bytes; of a run-time sized array those of one element.
    pub(crate) bytes: u32,
    /// (name, byte offset) of the members of a struct.
    pub(crate) members: Vec<(String, u32)>,
}

/// How a shader may use a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Uniform,
    Read,
    ReadWrite,
}

/// The buffers of a shader, by binding.
pub(crate) fn declared(module: &Module) -> Vec<Declared> {
    let mut all: Vec<Declared> = module
        .global_variables
        .iter()
        .filter_map(|(_, global)| {
            let place = global.binding?;
            assert_eq!(place.group, 0, "bindings are in group 0");
            let kind = match global.space {
                AddressSpace::Uniform => Kind::Uniform,
                AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Kind::ReadWrite,
                AddressSpace::Storage { .. } => Kind::Read,
                other => panic!("{:?} is in {other:?}", global.name),
            };
            let ty = &module.types[global.ty].inner;
            let members = match ty {
                TypeInner::Struct { members, .. } => {
                    members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset)).collect()
                }
                _ => Vec::new(),
            };
            Some(Declared {
                binding: place.binding,
                name: global.name.clone().unwrap_or_default(),
                kind,
                bytes: ty.size(module.to_ctx()),
                members,
            })
        })
        .collect();
    all.sort_by_key(|d| d.binding);
    all
}

/// Bytes of workgroup memory, once overrides are fixed.
pub(crate) fn workgroup_bytes(module: &Module) -> u32 {
    module
        .global_variables
        .iter()
        .filter(|(_, global)| global.space == AddressSpace::WorkGroup)
        .map(|(_, global)| {
            let bytes = module.types[global.ty].inner.size(module.to_ctx());
            bytes.next_multiple_of(16)
        })
        .sum()
}
