//! Every kernel at a shape or two, with operands: what the layout tests reflect on.

use rt_kernels::kernels::*;
use rt_kernels::{Dtype, Kernel, Operand, Operands, Slot, Target};
use std::sync::Arc;

/// A kernel with operands, each in a buffer of its own.
#[derive(Debug, Clone)]
pub struct Case {
    /// The kernel.
    pub kernel: Arc<dyn Kernel + Send + Sync>,
    /// Its operands, scratch for the GPU included.
    pub operands: Operands,
    /// Words of each buffer.
    pub words: Vec<usize>,
}

/// Rows that an operand gets where its signature takes any number.
const ANY_ROWS: usize = 70;
/// Columns likewise.
const ANY_COLS: usize = 2;

impl Case {
    /// The kernel with every operand but the optional ones that `left_out` names.
    pub fn new(kernel: impl Kernel + Send + Sync + 'static, left_out: &[&str]) -> Self {
        let signature = kernel.signature();
        let mut words = Vec::new();
        let mut place = |slot: &Slot| {
            if slot.optional && left_out.contains(&slot.name) {
                return None;
            }
            let (rows, cols) = (slot.rows.unwrap_or(ANY_ROWS), slot.cols.unwrap_or(ANY_COLS));
            words.push(rows * cols);
            Some(Operand::dense(words.len() - 1, rows, cols))
        };
        let reads = signature.reads.iter().map(&mut place).collect();
        let writes = signature.writes.iter().map(&mut place).collect();
        let scratch = kernel
            .scratch(Target::Gpu)
            .into_iter()
            .map(|n| {
                words.push(n);
                Operand::dense(words.len() - 1, 1, n)
            })
            .collect();
        Self { kernel: Arc::new(kernel), operands: Operands { reads, writes, scratch }, words }
    }
}

/// Every kernel at least once, with each shader and each set of constants that it ships. A test fails where a kernel
/// or a shader is missing here.
#[must_use]
pub fn representative_kernels() -> Vec<Case> {
    let mut cases = Vec::new();
    data(&mut cases);
    sparse(&mut cases);
    dense(&mut cases);
    losses(&mut cases);
    cases
}

/// The kernel with all its optional operands, and with none.
fn both(cases: &mut Vec<Case>, kernel: impl Kernel + Clone + Send + Sync + 'static) {
    let signature = kernel.signature();
    let optional: Vec<&str> =
        signature.reads.iter().chain(&signature.writes).filter(|slot| slot.optional).map(|slot| slot.name).collect();
    if !optional.is_empty() {
        cases.push(Case::new(kernel.clone(), &optional));
    }
    cases.push(Case::new(kernel, &[]));
}

fn data(cases: &mut Vec<Case>) {
    let (batch, history, stream) = (100, 50, 1);
    both(cases, Batch { batch, history, set: false, first: 0 });
    both(cases, Batch { batch, history, set: true, first: 7 });
    both(cases, Take { rows: 100, cols: 3 });
    both(cases, CheckIds { rows: 100, cols: 3, rule: IdRule::Below(90), null: 0, number: 1 });
    both(cases, CheckIds { rows: 100, cols: 2, rule: IdRule::Within(90), null: 0, number: 1 });
    both(cases, DrawUniform { n: 300, low: 1, count: 900, stream });
    both(cases, DrawAlias { n: 300, stream });
    both(cases, ShownNegatives { rows: 100, k: 3, own: 2, constant: 1.0 });
    both(cases, LogQ { n: 100, batch: false, constant: 0.5, first: 0 });
    both(cases, LogQ { n: 100, batch: true, constant: 0.0, first: 7 });
    both(cases, HistoryMask { rows: 100, words: ANY_COLS, keep_threshold: 1 << 31, stream });
    both(cases, Dropout { rows: 100, cols: 33, keep_threshold: 1 << 31, scale: 2.0, stream });
    both(cases, Bits { n: 1000, stream });
    both(cases, DrawUnseen { rows: 60, k: 5, count: 900, tries: 8, stream });
    both(cases, KeepMined { rows: 60, n: 2, threshold: 1 << 31, stream });
    for hashed in [false, true] {
        both(cases, Frequency { n: 100, hashes: 2, slots: 300, hashed, rate: 0.01 });
    }
    both(cases, DropIds { n: 100, keep_threshold: 1 << 31, stream });
}

fn sparse(cases: &mut Vec<Case>) {
    let windows = vec![1, 5, usize::MAX];
    for dim in [7, 64] {
        both(cases, Gather { rows: 100, dim });
        for (mean, zones) in [(false, false), (true, false), (true, true)] {
            let (rows, windows) = (100, windows.clone());
            both(cases, Bag { rows, dim, apart: dim, windows: windows.clone(), max_len: 50, mean, zones });
            both(cases, BagBackward { rows, dim, vocab: 50, windows, max_len: 50, mean, zones });
        }
        let (capacity, entries, tables, base, table) = (400, 1_000, 2, 1000, 1);
        both(cases, SegmentSum { rows: capacity, entries, dim });
        let segment = |dim| SegmentTable { base, capacity, entries, dim };
        cases.push(Case::new(SegmentRuns { tables: vec![segment(dim), segment(9)] }, &[]));
        both(cases, ScatterRows { table, base, capacity, dim, rows: 50 });
        both(cases, DecayRows { decay: 0.1, table, base, capacity, dim, tables });
        both(cases, SquaredNorm { rows: capacity, cols: dim, table, tables });
        both(cases, ScaleBy { rows: capacity, cols: dim });
        for part in [EmaPart::Whole, EmaPart::Rows, EmaPart::Seen] {
            let decay = EmaDecay::new(0.99);
            let left_out: &[&str] = if part == EmaPart::Seen { &["table", "average"] } else { &[] };
            cases.push(Case::new(EmaRows { decay, part, table, base, capacity, dim, tables }, left_out));
        }
        let eps = 1e-8;
        for (rule, left_out) in [
            (RowRule::Sgd, &["state1", "state2"][..]),
            (RowRule::Adagrad { eps }, &["state2"]),
            (RowRule::Adam { beta1: 0.9, beta2: 0.999, eps }, &[]),
        ] {
            let kernel = UpdateRows { rule, part: UpdatePart::Whole, capacity, entries, dim };
            cases.push(Case::new(kernel.clone(), left_out));
            if matches!(rule, RowRule::Adagrad { .. }) {
                let part = |part| UpdateRows { part, ..kernel.clone() };
                cases.push(Case::new(part(UpdatePart::Accumulators), &["table", "state2"]));
                cases.push(Case::new(part(UpdatePart::Table), left_out));
            }
        }
    }
    let decay = |dim| OnTable::Decay(DecayRows { decay: 0.1, table: 0, base: 0, capacity: 400, dim, tables: 2 });
    cases.push(Case::new(OnTables { list: vec![decay(7), decay(64)] }, &[]));
    let lookup = |cols, dtype| Lookup { rows: 100, cols, dtype };
    both(cases, Lookups { list: vec![lookup(7, Dtype::F32), lookup(2, Dtype::U32)] });
    pooled(cases);
    let ids = |source, entry| GroupUse { table: 0, source, entry, kind: UseKind::Ids { n: 100 } };
    let bag = GroupUse { table: 1, source: 0, entry: 200, kind: UseKind::Bag { rows: 100, max_len: 50, windows } };
    let table = |base, rows| GroupTable { base, rows };
    both(
        cases,
        Group {
            uses: vec![ids(0, 0), ids(100, 100), bag],
            tables: vec![table(0, 1000), table(1000, 70_000)],
            capacity: 5200,
        },
    );
}

fn pooled(cases: &mut Vec<Case>) {
    let (rows, history, heads, dim) = (100, 20, 2, 33);
    both(cases, HistoryIds { rows, history });
    both(cases, HistoryGaps { rows, history });
    both(cases, Sessions { rows, history, pause: 60 });
    both(cases, MaxPool { rows, history, dim, windows: vec![1, 5, usize::MAX], zones: false });
    both(cases, MaxPoolBackward { rows, history, dim, windows: 3 });
    for decay in [false, true] {
        both(cases, HistoryWeights { rows, history, heads, decay });
        both(cases, HistoryWeightsBackward { rows, history, heads, decay });
    }
    both(cases, WeightedPool { rows, history, heads, dim });
    cases.push(Case::new(WeightedPoolBackward { rows, history, heads, dim }, &[]));
    cases.push(Case::new(WeightedPoolBackward { rows, history, heads, dim }, &["dx"]));
}

fn dense(cases: &mut Vec<Case>) {
    let all = [Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid];
    let (rows, cols, dim) = (100, 33, 64);
    for activation in all {
        for (m, n, k) in [(100, 64, 130), (70, 3, 5), (16, 24, 5000), (132, 128, 36)] {
            for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
                both(cases, Gemm { m, n, k, trans_a, trans_b, activation });
            }
        }
        both(cases, ActivationForward { rows, cols, activation });
        both(cases, ActivationBackward { rows, cols, activation });
        let dropout = Dropout { rows, cols, keep_threshold: 1 << 31, scale: 2.0, stream: 1 };
        both(cases, DropoutBackward { dropout, activation });
    }
    let sum = |parts, rows| PartSum { parts, rows, cols };
    cases.push(Case::new(PartSums { list: vec![sum(3, rows), sum(8, 7)] }, &[]));
    both(cases, Prelu { rows, cols });
    both(cases, PreluBackward { rows, cols });
    both(cases, ColumnSum { rows, cols });
    cases.push(Case::new(ColumnSums { list: vec![ColumnSum { rows, cols }, ColumnSum { rows: 3, cols: 9 }] }, &[]));
    both(cases, Add { rows, cols });
    both(cases, Copy { rows, cols });
    both(cases, Scale { rows, cols, factor: 0.5 });
    both(cases, Mul { rows, cols });
    both(cases, Sum { rows: 1000, ring: 8 });
    both(cases, ClipFactor { n: 128, clip: 1.0 });
    cases.push(Case::new(GradientNorm { list: vec![[rows, cols], [5000, 1]], ring: 9 }, &[]));
    both(cases, L2Normalize { rows, dim });
    both(cases, L2NormalizeBackward { rows, dim });
    both(cases, LayerNorm { rows, dim });
    both(cases, LayerNormBackward { rows, dim });
    both(cases, BatchNormStats { rows, cols, momentum: 0.1 });
    both(cases, BatchNorm { rows, cols });
    both(cases, BatchNormSums { rows, cols });
    both(cases, BatchNormBackward { rows, cols });
    both(cases, Gelu { rows, cols });
    both(cases, GeluBackward { rows, cols });
    both(cases, FieldDot { rows, cols, fields: 4 });
    both(cases, FieldScale { rows, cols, fields: 4 });
    let eps = 1e-8;
    for (rule, left_out) in [
        (DenseRule::Sgd, &["state1", "state2"][..]),
        (DenseRule::Adagrad { eps }, &["state2"]),
        (DenseRule::Adam { beta1: 0.9, beta2: 0.999, eps }, &[]),
    ] {
        let average = Some(EmaDecay::new(0.99));
        let kernel = UpdateDense { rule, n: 1000, weight_decay: 0.01, average };
        cases.push(Case::new(kernel.clone(), left_out));
        let left_out = [left_out, &["average"]].concat();
        cases.push(Case::new(UpdateDense { average: None, ..kernel }, &left_out));
    }
}

fn losses(cases: &mut Vec<Case>) {
    let (rows, dim, scale) = (100, 64, 10.0);
    for group in [1, 5] {
        both(cases, GroupDot { rows, group, dim, scale });
        both(cases, GroupDotBackward { rows, group, dim, scale });
    }
    for dim in [7, 64] {
        for positive in [Positive::Diagonal, Positive::Label, Positive::Own] {
            for correct_positive in [false, true] {
                let candidates = 130;
                let kernel = |mask_hits| {
                    let smoothing = if mask_hits { 0.1 } else { 0.0 };
                    SoftmaxLoss { rows, candidates, dim, scale, positive, correct_positive, mask_hits, smoothing }
                };
                // What the kind of positive needs is there in every case.
                let (own, label) = (["own", "own_logq", "down"], ["label"]);
                let mut left_out = Vec::new();
                if positive != Positive::Own {
                    left_out.extend(own);
                }
                if positive != Positive::Label {
                    left_out.extend(label);
                }
                cases.push(Case::new(kernel(true), &left_out));
                left_out.extend(["logq", "candidate_ids", "target_ids", "own_logq", "mask", "du", "dv", "down"]);
                cases.push(Case::new(kernel(false), &left_out));
            }
        }
    }
    both(cases, ScaleByExp { rows, cols: dim });
    both(cases, ClampTop { rows: 1, cols: 1, most: 4.6 });
    both(cases, OwnMask { rows, candidates: 130 });
    for corrected in [false, true] {
        both(cases, CandidateLogQ { batch: 100, drawn: 30, queued: 200, catalogue: 900, corrected, first: 7 });
    }
    both(cases, QueuePush { rows, cols: dim, slots: 3 });
    for positive in [Positive::Diagonal, Positive::Label, Positive::Own] {
        let kernel = |mask_hits| {
            let candidates = 130;
            HardMask { rows, candidates, dim, scale, positive, mask_hits, from: 3, count: 20, tile: 1_000 }
        };
        let label = if positive == Positive::Label { &[][..] } else { &["label"] };
        cases.push(Case::new(kernel(true), label));
        cases.push(Case::new(kernel(false), &[label, &["logq", "candidate_ids", "target_ids", "mask"]].concat()));
    }
    for correct_positive in [false, true] {
        let kernel = |mask_hits| ListSoftmax { rows, n: 6, mask_hits, correct_positive, smoothing: 0.1 };
        cases.push(Case::new(kernel(true), &[]));
        cases.push(Case::new(kernel(false), &["ids", "logq", "dz"]));
    }
    both(cases, BceWithLogits { rows, n: 6 });
    both(cases, Pairwise { rows, n: 6, rule: PairRule::Bpr });
    both(cases, Pairwise { rows, n: 6, rule: PairRule::Hinge { margin: 0.5 } });
    for k in [1, 10, 100] {
        both(cases, TopK { queries: 40, items: 3000, k, first: 1 });
        for coded in [false, true] {
            both(cases, Search { queries: 40, items: 3000, dim: 20, k, first: 1, coded });
        }
    }
}
