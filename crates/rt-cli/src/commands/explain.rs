//! `recall explain`: the tape of a training step, as a table and as a graph.

use crate::args::{Explain, Global};
use crate::fail::Done;
use crate::output;
use rt_data::{ReadOptions, SplitKind, SplitOptions, Synthetic};
use rt_models::tensor::Tape;
use rt_models::text::NAME;
use rt_models::{Config, Device, Model, ModelKind};
use std::path::Path;
use std::sync::Arc;

pub(crate) fn run(global: &Global, args: &Explain) -> Done {
    output::check_json(global)?;
    if args.model == NAME {
        let device = Device::cpu(global.threads)?;
        return print(global, args, &device, &super::text::tape(global, args)?);
    }
    let kind: ModelKind = args.model.parse()?;
    let mut config = Config::new(kind);
    for pair in &args.set {
        config.set_pair(pair)?;
    }
    let data = if Synthetic::is_named_by(&args.data) {
        Synthetic::parse(&args.data)?.generate().0
    } else {
        rt_data::read(Path::new(&args.data), &ReadOptions::default())?
    };
    let split = rt_data::split(&data, SplitKind::LeaveLastOut, SplitOptions::default())?;
    let device = Device::cpu(global.threads)?;
    let model = Model::new(&device, &config, Arc::new(data), &split, global.seed)?;
    print(global, args, &device, &model.training_tape(split.examples.len())?)
}

fn print(global: &Global, args: &Explain, device: &Device, tape: &Tape) -> Done {
    let (tables, dense) = tape.params().counts();
    let cost = tape.cost();
    say_on!("{}", tape.listing());
    say!(
        "{} nodes; a step moves at least {:.1} MB and does {:.1} MFLOP; {tables} parameters in tables, {dense} in layers",
        tape.len(),
        cost.bytes / 1e6,
        cost.flops / 1e6
    );
    if let Some(path) = &args.dot {
        output::write_file(path, &tape.dot())?;
        say!("the graph is in {}: dot -Tsvg {} draws it", path.display(), path.display());
    }
    let row = |n: &rt_tensor::NodeInfo| {
        serde_json::json!({
            "node": n.node, "phase": format!("{:?}", n.phase).to_lowercase(), "op": n.op, "inputs": n.inputs,
            "outputs": n.outputs, "bytes": n.bytes, "flops": n.flops,
        })
    };
    let rows = tape.nodes().iter().map(row).collect();
    output::write_json(global, "explain", output::device_name(device), None, rows, serde_json::Map::new())
}
