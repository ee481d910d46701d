//! Hostile calls made of bytes: any kernel with any attributes on any operands, for the fuzz target (tests/fuzz) and for the test
//! that runs it on fixed seeds. Nothing here expects a result; what is asserted is that no word changes but those of written
//! operands, and that nothing panics that must not.

use rt_kernels::kernels::*;
use rt_kernels::{
    Buffer, Call, CpuIo, Device, Dtype, Kernel, Mat, MatMut, Operand, Operands, Program, Signature, Slot, Step, Target,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// An error said what was wrong.
    Refused,
    /// It ran to its end.
    Ran,
    /// It panicked on operands that nothing had held against it, as it may.
    Panicked,
}

/// Where numbers come from: bytes, and zeros behind them.
#[derive(Debug)]
pub struct Source<'a> {
    bytes: &'a [u8],
    /// Sizes are of 0 to 2, operands lie as the kernel wants them and hold zeros: shapes at the edge, and nothing wrong with them.
    edge: bool,
}

/// Sizes that wrap, alone or in products, or are cut off in 32 bits. All are past what an operand may have, so that no loop runs
/// to them.
const HOSTILE: [usize; 9] = [
    usize::MAX,
    usize::MAX - 1,
    usize::MAX / 2 + 1,
    usize::MAX / 4 + 1,
    1 << (usize::BITS / 2),
    (1 << (usize::BITS / 2)) + 1,
    1 << (usize::BITS / 2 + 1),
    usize::MAX - 63,
    usize::MAX / 3,
];

impl<'a> Source<'a> {
    /// Numbers made of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, edge: false }
    }

    /// The same for shapes at the edge.
    #[must_use]
    pub fn edge(bytes: &'a [u8]) -> Self {
        Self { bytes, edge: true }
    }

    fn byte(&mut self) -> u8 {
        let (first, rest) = self.bytes.split_first().unwrap_or((&0, &[]));
        self.bytes = rest;
        *first
    }

    fn below(&mut self, n: usize) -> usize {
        (usize::from(self.byte()) << 8 | usize::from(self.byte())) % n.max(1)
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// True once in `n` times, and never at the edge.
    fn seldom(&mut self, n: usize) -> bool {
        self.below(n) == n - 1 && !self.edge
    }

    /// A size: small, at the side of a tile or vector, or seldom hostile.
    fn size(&mut self) -> usize {
        if self.edge {
            return self.below(3);
        }
        match self.byte() {
            0..=200 => self.below(12),
            201..=240 => [15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 300][self.below(14)],
            241..=252 => self.below(400),
            253.. => HOSTILE[self.below(HOSTILE.len())],
        }
    }

    fn word(&mut self) -> u32 {
        match self.byte() {
            _ if self.edge => 0,
            0..=170 => self.below(10) as u32,
            171..=230 => self.below(300) as u32,
            231..=240 => u32::MAX - self.below(3) as u32,
            241.. => u32::from_le_bytes([0; 4].map(|_: u8| self.byte())),
        }
    }

    fn float(&mut self) -> f32 {
        match self.byte() {
            _ if self.edge => 0.0,
            0..=200 => f32::from(self.byte()) / 64.0 - 2.0,
            201..=220 => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 0.0, -0.0][self.below(7)],
            221.. => f32::from_bits(u32::from_le_bytes([0; 4].map(|_: u8| self.byte()))),
        }
    }

    fn windows(&mut self) -> Vec<usize> {
        let n = if self.seldom(20) { self.below(20) } else { 1 + self.below(3) };
        let mut windows: Vec<usize> = (0..n).map(|i| 1 + 2 * i + self.below(2)).collect();
        if self.seldom(12) {
            windows = (0..n).map(|_| self.size()).collect();
        }
        if self.flag() {
            windows.push([0, usize::MAX][self.below(2)]);
        }
        windows
    }

    fn activation(&mut self) -> Activation {
        [Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid][self.below(4)]
    }

    fn positive(&mut self) -> Positive {
        [Positive::Diagonal, Positive::Label, Positive::Own][self.below(3)]
    }

    fn dropout(&mut self) -> Dropout {
        let (rows, cols, keep_threshold, stream) = (self.size(), self.size(), self.word() << 20, self.word());
        Dropout { rows, cols, keep_threshold, scale: self.float(), stream }
    }

    fn group(&mut self) -> Group {
        let mut end = 0u32;
        let tables: Vec<GroupTable> = (0..1 + self.below(3))
            .map(|_| {
                let base = if self.seldom(16) { self.word() } else { end };
                let rows = self.word();
                end = base.saturating_add(rows);
                GroupTable { base, rows }
            })
            .collect();
        let mut entry = 0usize;
        let uses: Vec<GroupUse> = (0..self.below(4))
            .map(|_| {
                let kind = match self.flag() {
                    true => UseKind::Ids { n: self.size() },
                    false => UseKind::Bag { rows: self.size(), max_len: self.size(), windows: self.windows() },
                };
                let at = if self.seldom(16) { self.size() } else { entry };
                let among = if self.seldom(16) { 9 } else { tables.len() };
                let table = self.below(among);
                entry = entry.saturating_add(kind.entries());
                GroupUse { table, source: self.word(), entry: at, kind }
            })
            .collect();
        Group { uses, tables, capacity: if self.seldom(16) { self.size() } else { entry } }
    }

    fn on_table(&mut self) -> OnTable {
        let (table, base, capacity, dim, tables) =
            (self.below(3), self.word(), self.size(), self.size(), 1 + self.below(3));
        match self.below(3) {
            0 => OnTable::Decay(DecayRows { decay: self.float(), table, base, capacity, dim, tables }),
            1 => {
                let part = [EmaPart::Whole, EmaPart::Rows, EmaPart::Seen][self.below(3)];
                OnTable::Average(EmaRows { decay: EmaDecay::new(0.9), part, table, base, capacity, dim, tables })
            }
            _ => OnTable::Update(self.update_rows()),
        }
    }

    fn update_rows(&mut self) -> UpdateRows {
        let eps = 1e-8;
        let rule = [RowRule::Sgd, RowRule::Adagrad { eps }, RowRule::Adam { beta1: 0.9, beta2: 0.99, eps }];
        let part = [UpdatePart::Whole, UpdatePart::Accumulators, UpdatePart::Table][self.below(3)];
        let entries = if self.seldom(4) { 600 } else { self.size() };
        UpdateRows { rule: rule[self.below(3)], part, capacity: self.size(), entries, dim: self.size() }
    }

    /// Number of the kernels that [`Source::kernel`] makes.
    pub const KERNELS: usize = 82;

    /// Kernel number `number` with any attributes. A test holds the list against that of all kernels.
    #[must_use]
    pub fn kernel(&mut self, number: usize) -> Arc<dyn Kernel + Send + Sync> {
        if number < 40 { self.first_half(number) } else { self.second_half(number) }
    }

    fn first_half(&mut self, number: usize) -> Arc<dyn Kernel + Send + Sync> {
        let (rows, cols, dim, n) = (self.size(), self.size(), self.size(), self.size());
        let (stream, factor, activation) = (self.word(), self.float(), self.activation());
        match number {
            0 => Arc::new(ActivationForward { rows, cols, activation }),
            1 => Arc::new(ActivationBackward { rows, cols, activation }),
            2 => Arc::new(Add { rows, cols }),
            3 => Arc::new(Mul { rows, cols }),
            4 => Arc::new(Scale { rows, cols, factor }),
            5 => Arc::new(Copy { rows, cols }),
            6 | 7 => match self.on_table() {
                OnTable::Average(kernel) => Arc::new(kernel),
                OnTable::Decay(kernel) => Arc::new(kernel),
                OnTable::Update(kernel) => Arc::new(kernel),
            },
            8 => {
                let (windows, mean, zones) = (self.windows(), self.flag(), self.flag());
                let apart = if self.seldom(8) { self.size() } else { dim };
                Arc::new(Bag { rows, dim, apart, windows, max_len: self.size(), mean, zones })
            }
            9 => {
                let (windows, max_len, mean, zones) = (self.windows(), self.size(), self.flag(), self.flag());
                Arc::new(BagBackward { rows, dim, vocab: self.size(), windows, max_len, mean, zones })
            }
            10 => Arc::new(Batch { batch: rows, history: self.size(), set: self.flag(), first: self.size() }),
            11 => Arc::new(BatchNormStats { rows, cols, momentum: factor }),
            12 => Arc::new(BatchNorm { rows, cols }),
            13 => Arc::new(BatchNormSums { rows, cols }),
            14 => Arc::new(BatchNormBackward { rows, cols }),
            15 => Arc::new(BceWithLogits { rows, n }),
            16 => Arc::new(Bits { n, stream }),
            17 => {
                let [batch, drawn, queued, catalogue, first] = [(); 5].map(|()| self.size());
                Arc::new(CandidateLogQ { batch, drawn, queued, catalogue, corrected: self.flag(), first })
            }
            18 => Arc::new(SquaredNorm { rows, cols, table: self.below(4), tables: self.below(4) }),
            19 => Arc::new(ClipFactor { n, clip: factor }),
            20 => Arc::new(ScaleBy { rows, cols }),
            21 => Arc::new(ColumnSum { rows, cols }),
            22 => {
                let sum = |source: &mut Self| ColumnSum { rows: source.size(), cols: source.size() };
                Arc::new(ColumnSums { list: (0..self.below(4)).map(|_| sum(self)).collect() })
            }
            23 => Arc::new(DropIds { n, keep_threshold: self.word() << 20, stream }),
            24 => Arc::new(self.dropout()),
            25 => Arc::new(DropoutBackward { dropout: self.dropout(), activation }),
            26 => Arc::new(FieldDot { rows, cols, fields: self.size() }),
            27 => Arc::new(FieldScale { rows, cols, fields: self.size() }),
            28 => {
                let (hashes, slots) = (self.below(4), self.size());
                Arc::new(Frequency { n, hashes, slots, hashed: self.flag(), rate: factor })
            }
            29 => Arc::new(Gather { rows, dim }),
            30 => Arc::new(Gelu { rows, cols }),
            31 => Arc::new(GeluBackward { rows, cols }),
            32 | 33 => {
                let k = if self.seldom(8) { 1500 } else { self.size() };
                Arc::new(Gemm { m: rows, n: cols, k, trans_a: self.flag(), trans_b: self.flag(), activation })
            }
            34 => Arc::new(self.group()),
            35 => Arc::new(GroupDot { rows, group: n, dim, scale: factor }),
            36 => Arc::new(GroupDotBackward { rows, group: n, dim, scale: factor }),
            37 => {
                let (positive, mask_hits) = (self.positive(), self.flag());
                let [from, count, tile] = [(); 3].map(|()| self.size());
                let candidates = if self.seldom(3) { n } else { n.saturating_add(rows) };
                Arc::new(HardMask { rows, candidates, dim, scale: factor, positive, mask_hits, from, count, tile })
            }
            38 => Arc::new(HistoryIds { rows, history: n }),
            _ => Arc::new(HistoryGaps { rows, history: n }),
        }
    }

    fn second_half(&mut self, number: usize) -> Arc<dyn Kernel + Send + Sync> {
        let (rows, cols, dim, n) = (self.size(), self.size(), self.size(), self.size());
        let (stream, scale, history, heads) = (self.word(), self.float(), self.size(), self.size());
        match number {
            40 => Arc::new(HistoryMask { rows, words: n, keep_threshold: self.word() << 20, stream }),
            41 => Arc::new(HistoryWeights { rows, history, heads, decay: self.flag() }),
            42 => Arc::new(HistoryWeightsBackward { rows, history, heads, decay: self.flag() }),
            43 => Arc::new(KeepMined { rows, n, threshold: self.word() << 20, stream }),
            44 => Arc::new(L2Normalize { rows, dim }),
            45 => Arc::new(L2NormalizeBackward { rows, dim }),
            46 => Arc::new(LayerNorm { rows, dim }),
            47 => Arc::new(LayerNormBackward { rows, dim }),
            48 => {
                let (mask_hits, correct_positive) = (self.flag(), self.flag());
                Arc::new(ListSoftmax { rows, n, mask_hits, correct_positive, smoothing: scale })
            }
            49 => Arc::new(LogQ { n, batch: self.flag(), constant: scale, first: self.size() }),
            50 => {
                let dtype = |flag| if flag { Dtype::F32 } else { Dtype::U32 };
                let one = |s: &mut Self| Lookup { rows: s.size(), cols: s.size(), dtype: dtype(s.flag()) };
                Arc::new(Lookups { list: (0..self.below(4)).map(|_| one(self)).collect() })
            }
            51 => Arc::new(MaxPool { rows, history, dim, windows: self.windows(), zones: self.flag() }),
            52 => Arc::new(MaxPoolBackward { rows, history, dim, windows: self.size() }),
            53 => Arc::new(DrawUniform { n, low: self.word(), count: self.word(), stream }),
            54 => Arc::new(DrawAlias { n, stream }),
            55 => Arc::new(DrawUnseen { rows, k: n, count: self.word(), tries: self.below(8) as u32, stream }),
            56 => Arc::new(OnTables { list: (0..self.below(4)).map(|_| self.on_table()).collect() }),
            57 => Arc::new(OwnMask { rows, candidates: n }),
            58 => Arc::new(Pairwise { rows, n, rule: PairRule::Bpr }),
            59 => Arc::new(Pairwise { rows, n, rule: PairRule::Hinge { margin: scale } }),
            60 => {
                let one = |s: &mut Self| PartSum { parts: s.size(), rows: s.size(), cols: s.size() };
                Arc::new(PartSums { list: (0..self.below(4)).map(|_| one(self)).collect() })
            }
            61 => Arc::new(Prelu { rows, cols }),
            62 => Arc::new(PreluBackward { rows, cols }),
            63 => Arc::new(QueuePush { rows, cols, slots: self.size() }),
            64 => Arc::new(ScaleByExp { rows, cols }),
            65 => Arc::new(ClampTop { rows, cols, most: scale }),
            66 => {
                let (queries, k, first) = (rows, self.size(), self.word());
                Arc::new(Search { queries, items: n, dim, k, first, coded: self.flag() })
            }
            67 => {
                let one = |s: &mut Self| SegmentTable {
                    base: s.word(),
                    capacity: s.size(),
                    entries: if s.seldom(4) { 600 } else { s.size() },
                    dim: s.size(),
                };
                Arc::new(SegmentRuns { tables: (0..self.below(4)).map(|_| one(self)).collect() })
            }
            68 => Arc::new(SegmentSum { rows, entries: if self.seldom(4) { 600 } else { n }, dim }),
            69 => Arc::new(ScatterRows { table: self.below(4), base: self.word(), capacity: n, dim, rows }),
            70 => Arc::new(Sessions { rows, history, pause: self.word() }),
            71 => Arc::new(ShownNegatives { rows, k: n, own: self.size(), constant: scale }),
            72 | 73 => {
                let (positive, correct_positive, mask_hits) = (self.positive(), self.flag(), self.flag());
                let candidates = if self.seldom(3) { n } else { n.saturating_add(rows) };
                let smoothing = if self.flag() { 0.1 } else { 0.0 };
                Arc::new(SoftmaxLoss { rows, candidates, dim, scale, positive, correct_positive, mask_hits, smoothing })
            }
            74 => Arc::new(Sum { rows, ring: self.size() }),
            75 => Arc::new(Take { rows, cols }),
            76 => Arc::new(TopK { queries: rows, items: n, k: self.size(), first: self.word() }),
            77 => {
                let eps = 1e-8;
                let rule =
                    [DenseRule::Sgd, DenseRule::Adagrad { eps }, DenseRule::Adam { beta1: 0.9, beta2: 0.99, eps }];
                let average = self.flag().then(|| EmaDecay::new(0.9));
                Arc::new(UpdateDense { rule: rule[self.below(3)], n, weight_decay: scale, average })
            }
            80 => {
                let rule = [IdRule::Below(self.word()), IdRule::Within(self.word())][self.below(2)];
                let cols = if matches!(rule, IdRule::Within(_)) && !self.seldom(8) { 2 } else { cols };
                Arc::new(CheckIds { rows, cols, rule, null: 0, number: stream })
            }
            81 => {
                let list = (0..self.below(4)).map(|_| [self.size(), self.size()]).collect();
                Arc::new(GradientNorm { list, ring: self.below(5) })
            }
            78 => Arc::new(WeightedPool { rows, history, heads, dim }),
            _ => Arc::new(WeightedPoolBackward { rows, history, heads, dim }),
        }
    }

    fn step(&mut self) -> Step {
        let (step, seed) = (self.word(), u64::from(self.word()));
        let (offset, valid) = (self.word(), self.word());
        Step::new(step, seed, offset, valid).with_rates(0.1, 0.1, 0.9, 0.99)
    }

    /// The shape of an operand: as the slot wants it, or seldom another.
    fn shape(&mut self, slot: &Slot) -> (usize, usize) {
        let mut side = |want: Option<usize>| match want {
            Some(n) if !self.seldom(60) => n,
            // Id 0 is a row of every table.
            _ if self.edge => 1 + self.below(2),
            _ => self.size(),
        };
        (side(slot.rows), side(slot.cols))
    }

    /// A matrix of a shape: dense, with gaps, or seldom hostile.
    fn operand(&mut self, buffer: usize, (rows, cols): (usize, usize)) -> Operand {
        let dense = Operand::dense(buffer, rows, cols);
        match self.byte() {
            _ if self.edge => dense,
            0..=120 => dense,
            121..=220 => {
                let (offset, gap) = (self.below(9), self.below(5));
                Operand { offset, stride: cols.saturating_add(gap), ..dense }
            }
            221..=235 => Operand { stride: self.size(), ..dense },
            236..=245 => Operand { offset: self.size(), ..dense },
            246.. => {
                let hostile = |s: &mut Self| HOSTILE[s.below(HOSTILE.len())];
                Operand { offset: hostile(self), stride: hostile(self), ..dense }
            }
        }
    }

    /// Words of a buffer for an operand, floats or integers.
    fn words(&mut self, n: usize, dtype: Dtype) -> Vec<u32> {
        // A few, again and again: the bytes are better spent on shapes.
        let few: Vec<u32> = (0..n.min(24))
            .map(|_| match dtype {
                Dtype::F32 => self.float().to_bits(),
                Dtype::U32 => self.word(),
            })
            .collect();
        few.iter().copied().cycle().take(n).collect()
    }
}

/// Longest buffer of a case.
const ROOM: usize = 1 << 17;

/// Words of a buffer and their type, which is `None` for either.
type Words = (Vec<u32>, Option<Dtype>);

/// Operands for the slots of a signature, and what their buffers hold.
fn operands(source: &mut Source<'_>, signature: &Signature) -> (Operands, Vec<Words>) {
    let mut buffers: Vec<Words> = Vec::new();
    let mut place = |slot: &Slot| {
        if (slot.optional && source.flag()) || source.seldom(80) {
            return None;
        }
        let shape = source.shape(slot);
        let buffer = if source.seldom(60) { source.below(buffers.len() + 3) } else { buffers.len() };
        let o = source.operand(buffer, shape);
        let end = o.end().filter(|end| *end <= ROOM).unwrap_or(64);
        let words = if source.seldom(40) { end.saturating_sub(1) } else { end + source.below(4) };
        let dtype = if source.seldom(60) { Dtype::U32 } else { slot.dtype };
        let words = source.words(words, dtype);
        buffers.push((words, if source.flag() { Some(dtype) } else { None }));
        Some(o)
    };
    let reads = signature.reads.iter().map(&mut place).collect();
    let writes = signature.writes.iter().map(&mut place).collect();
    (Operands { reads, writes, scratch: Vec::new() }, buffers)
}

/// Is word `i` a cell of the operand?
fn has(o: &Operand, i: usize) -> bool {
    i >= o.offset && o.stride > 0 && (i - o.offset) / o.stride < o.rows && (i - o.offset) % o.stride < o.cols
}

/// A program of one hostile call on the CPU.
///
/// # Panics
///
/// If [`Program::new`] panics, a call that it took panics when it runs or makes [`Kernel::dispatches`] panic, or a word changes that
/// no written operand has.
#[must_use]
pub fn program(device: &Device, source: &mut Source<'_>, number: usize) -> Fate {
    let kernel = source.kernel(number);
    let step = source.step();
    let may = catch_unwind(AssertUnwindSafe(|| kernel.signature()));
    let signature = may.unwrap_or_else(|_| panic!("the signature of {kernel:?} panics"));
    let (operands, data) = operands(source, &signature);
    let about = format!("{kernel:?} on {operands:?}");
    let buffers: Vec<Buffer> = data
        .iter()
        .map(|(words, dtype)| {
            let buffer = device.zeros(*dtype, words.len(), "fuzz").expect("a small buffer");
            device.write(&buffer, 0, words).expect("it fits");
            buffer
        })
        .collect();
    let call = Call { kernel: kernel.clone(), operands: operands.clone() };
    let made = catch_unwind(AssertUnwindSafe(|| Program::new(device, buffers.clone(), vec![call])));
    let Ok(mut program) = made.unwrap_or_else(|_| panic!("`Program::new` panics: {about}")) else {
        return Fate::Refused;
    };
    let launched = catch_unwind(AssertUnwindSafe(|| dispatches(&*kernel, &operands, buffers.len())));
    launched.unwrap_or_else(|_| panic!("dispatches panic: {about}"));
    let ran = catch_unwind(AssertUnwindSafe(|| program.run(&step)));
    // A step may be refused: it changes nothing then.
    let refused = ran.unwrap_or_else(|_| panic!("running it panics: {about}")).is_err();
    for (i, ((before, _), buffer)) in data.iter().zip(&buffers).enumerate() {
        let after = device.read_u32(buffer).unwrap_or_else(|e| panic!("reading back: {e}: {about}"));
        let mut written = operands.writes.iter().flatten().filter(|o| o.buffer == i);
        let may = |word: usize| !refused && written.clone().any(|o| has(o, word));
        let wrong = before.iter().zip(&after).enumerate().find(|(word, (a, b))| a != b && !may(*word));
        assert!(wrong.is_none(), "buffer {i}, {:?} changed, {:?}: {about}", wrong, written.next());
    }
    if refused { Fate::Refused } else { Fate::Ran }
}

/// The GPU's dispatches of a call that was taken, in every variant; no GPU is needed for it.
fn dispatches(kernel: &dyn Kernel, operands: &Operands, buffers: usize) {
    let mut operands = operands.clone();
    let scratch = kernel.scratch(Target::Gpu).into_iter().enumerate();
    operands.scratch = scratch.map(|(i, words)| Operand::dense(buffers + i, 1, words)).collect();
    for variant in kernel.variants() {
        let _ = kernel.dispatches_as(&operands, variant);
    }
    let _ = kernel.dispatches(&operands);
}

/// A kernel run on operands of its caller's own, which nothing holds against it: slices of one block of words, guards between
/// them.
///
/// # Panics
///
/// If a word changes that no written operand was given.
#[must_use]
pub fn by_hand(source: &mut Source<'_>, number: usize) -> Fate {
    const GUARD: u32 = 0x6a7d_0b5e;
    let kernel = source.kernel(number);
    let step = source.step();
    let signature = kernel.signature();
    let (operands, data) = operands(source, &signature);
    let about = format!("{kernel:?} on {operands:?}");
    let mut block = vec![GUARD; 32];
    let mut places = Vec::new();
    for (words, _) in &data {
        places.push(block.len()..block.len() + words.len());
        block.extend(words);
        block.extend([GUARD; 32]);
    }
    // A loop over rows without a cell has no end to run to.
    let endless = |o: &Operand| o.rows > ROOM && (o.cols == 0 || o.stride == 0);
    let attributes = format!("{kernel:?}");
    let huge = HOSTILE.iter().any(|n| attributes.contains(&n.to_string()));
    if huge || operands.reads.iter().chain(&operands.writes).flatten().any(endless) {
        return Fate::Refused;
    }
    let before = block.clone();
    let mut given = vec![false; block.len()];
    let mut rest = &mut block[..];
    let mut at = 0;
    let mut slices: Vec<Option<&mut [u32]>> = Vec::new();
    for place in &places {
        let (_, from) = rest.split_at_mut(place.start - at);
        let (own, after) = from.split_at_mut(place.len());
        slices.push(Some(own));
        (rest, at) = (after, place.end);
    }
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut take = |o: &Option<Operand>, write: bool| {
            let o = (*o)?;
            let words = slices.get_mut(o.buffer).and_then(Option::take)?;
            if write {
                given[places[o.buffer].clone()].fill(true);
            }
            Some((o, words))
        };
        let reads = operands.reads.iter().map(|o| take(o, false));
        let reads: Vec<_> = reads.map(|m| m.map(|(o, w)| Mat::new(&*w, o.rows, o.cols, o.stride))).collect();
        let writes = operands.writes.iter().map(|o| take(o, true));
        let writes: Vec<_> = writes.map(|m| m.map(|(o, w)| MatMut::new(w, o.rows, o.cols, o.stride))).collect();
        kernel.run(&mut CpuIo::new(&step, reads, writes));
    }));
    let wrong = (0..before.len()).find(|i| before[*i] != block[*i] && !given[*i]);
    assert!(wrong.is_none(), "word {wrong:?} changed, which no written operand has: {about}");
    if ran.is_ok() { Fate::Ran } else { Fate::Panicked }
}
