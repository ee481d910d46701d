//! What ids and slices have to be, and how that is known: a bound is carried back through what moves ids (views, copies, lookups of
//! ids, draws) to the inputs, constants and states that they are made of, and held there where words are written. What cannot be
//! proven so passes a check on the device ([`rt_kernels::kernels::CheckIds`]).

use crate::tape::{Kind, Tape, Var};
use crate::{Error, Result};
use rt_kernels::kernels::{CheckIds, IdRule};
use rt_kernels::{Buffer, Device, Dtype};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

/// The input of the tape that its checks write their faults into.
pub(crate) const FAULTS: &str = "check_ids.faults";

/// A rectangle of the words of an input, a constant or a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Region {
    offset: usize,
    stride: usize,
    rows: usize,
    cols: usize,
}

impl Region {
    /// First row and column, where rows of the root are `stride` words.
    fn start(&self, stride: usize) -> [usize; 2] {
        let stride = stride.max(1);
        [self.offset / stride, self.offset % stride]
    }

    /// Its rows among the first words of the root, with the place of each.
    fn rows_of<'a>(&self, words: &'a [u32]) -> impl Iterator<Item = (usize, &'a [u32])> + use<'a> {
        let Self { offset, stride, rows, cols } = *self;
        // The last of them may be written in part.
        let row = move |r: usize| {
            let first = offset + r * stride;
            Some((first, &words[first..words.len().min(first + cols)])).filter(|_| first < words.len())
        };
        (0..if cols == 0 { 0 } else { rows }).map_while(row)
    }
}

/// What the words of a region have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bound {
    pub region: Region,
    pub rule: IdRule,
}

/// Bounds of the inputs and states of a tape, by name.
pub(crate) type Bounds = BTreeMap<String, Vec<Bound>>;

/// Adds bounds that are not known yet.
pub(crate) fn add(to: &mut Vec<Bound>, bounds: &[Bound]) {
    for bound in bounds {
        if !to.contains(bound) {
            to.push(*bound);
        }
    }
}

/// Fails for the first word, by place, that a bound does not allow; `words` are the first ones of what is bounded.
pub(crate) fn check(name: &str, bounds: &[Bound], words: &[u32]) -> Result<()> {
    let below = |b: &Bound| match b.rule {
        IdRule::Below(n) => Some(n),
        IdRule::Within(_) => None,
    };
    // One pass proves nearly always all there is.
    if let Some(least) = bounds.iter().map(below).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().min())
        && largest(words).is_none_or(|id| id < least)
    {
        return Ok(());
    }
    let mut first: Option<(usize, String)> = None;
    for Bound { region, rule } in bounds {
        let wrong = region.rows_of(words).find(|(_, row)| !rule.holds(row));
        let Some((at, row)) = wrong else { continue };
        let (place, what) = match rule {
            IdRule::Below(_) => {
                let c = row.iter().position(|id| !rule.holds(&[*id])).unwrap_or(0);
                (at + c, format!("id {} at place {}: {}", row[c], at + c, rule.wants()))
            }
            IdRule::Within(_) => (at, format!("slice {row:?} at place {at}: {}", rule.wants())),
        };
        if first.as_ref().is_none_or(|(other, _)| place < *other) {
            first = Some((place, what));
        }
    }
    first.map_or(Ok(()), |(_, what)| Err(Error::Data { name: name.into(), what }))
}

/// The largest word.
pub(crate) fn largest(words: &[u32]) -> Option<u32> {
    words.iter().copied().max()
}

/// Where a check stands on the tape: what its faults say.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The op that reads what is checked, and the operand.
    op: &'static str,
    operand: &'static str,
    /// What it is made by, or the name of the state that it is.
    source: String,
    rule: IdRule,
    cols: usize,
}

/// The faults of a program's checks on the device.
#[derive(Debug)]
pub(crate) struct Faults {
    buffer: Buffer,
    sites: Vec<Site>,
    /// Faults that were told, or passed over as later ones of a step that was told.
    told: AtomicU32,
}

impl Faults {
    pub(crate) fn new(buffer: Buffer, sites: Vec<Site>) -> Self {
        Self { buffer, sites, told: AtomicU32::new(0) }
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Waits for the device and looks at its faults.
    pub(crate) fn read(&self, device: &Device) -> Result<()> {
        self.look(&device.read(&self.buffer, 0, CheckIds::words())?)
    }

    /// Fails for the first fault that was not told yet, and passes over the later ones of the same step. The very first is always
    /// kept; of more than [`CheckIds::FAULTS`] new ones after that the oldest kept is told, and the error says how many came before
    /// it.
    pub(crate) fn look(&self, words: &[u32]) -> Result<()> {
        let count = words.first().copied().unwrap_or(0);
        let told = self.told.load(Ordering::Acquire);
        let new = count.wrapping_sub(told);
        if new == 0 || new > u32::MAX / 2 {
            return Ok(()); // a copy from before what was told
        }
        // Of very many the oldest but the very first are gone; the error says so.
        let kept = count.wrapping_sub(new.min(CheckIds::FAULTS as u32));
        let very_first = told == 0 && kept != 0;
        let (first, fault) =
            if very_first { (0, CheckIds::first(words)) } else { (kept, CheckIds::fault(words, kept)) };
        let Some([step, number, place, a, b]) = fault else { return Ok(()) };
        let from = if very_first { kept } else { kept.wrapping_add(1) };
        let mut next = from;
        while next != count && CheckIds::fault(words, next).is_some_and(|[other, ..]| other == step) {
            next = next.wrapping_add(1);
        }
        // Where none that is kept is of the step of the very first, those that are not kept are still to be counted.
        let next = if very_first && next == from { 1 } else { next };
        self.told.store(next, Ordering::Release);
        let Some(site) = self.sites.get(number as usize) else { return Ok(()) };
        let Site { op, operand, source, rule, cols } = site;
        let (row, found) = match rule {
            IdRule::Below(_) => (place as usize / (*cols).max(1), format!("id {a}")),
            IdRule::Within(_) => (place as usize, format!("slice ({a}, {b})")),
        };
        let mut what =
            format!("`{op}` reads {found} in row {row} of its {operand}: {}; null stood in for it", rule.wants());
        let lost = first.wrapping_sub(told);
        if lost > 0 {
            what += &format!("; {lost} older faults, of this step or of steps before it, were not kept");
        }
        Err(Error::Ids { step, input: source.clone(), row, what })
    }
}

impl Tape {
    /// Proves that `ids` are below `rows`, the rows of what they look up, and returns them. If that cannot be proven, returns what a
    /// check on the device makes of them: the same ids, with `null` in place of those out of range.
    pub(crate) fn ids_below(
        &mut self,
        op: &'static str,
        operand: &'static str,
        ids: Var,
        rows: usize,
        null: u32,
    ) -> Result<Var> {
        let bound = u32::try_from(rows).unwrap_or(u32::MAX);
        self.bounded(op, operand, ids, IdRule::Below(bound), null)
    }

    /// Holds slices (start, length) `[n, 2]` within `words` words, as [`Tape::ids_below`].
    pub(crate) fn slices_within(&mut self, op: &'static str, slice: Var, words: usize) -> Result<Var> {
        let bound = u32::try_from(words).unwrap_or(u32::MAX);
        if self.shape(slice)[1] != 2 {
            return Err(crate::error::shape(op, format!("slices have {} columns, need 2", self.shape(slice)[1])));
        }
        self.bounded(op, "slices", slice, IdRule::Within(bound), 0)
    }

    /// What is to be written into a state of ids, held by the bounds of those that read the state.
    pub(crate) fn as_kept(&mut self, state: Var, x: Var) -> Result<Var> {
        let Kind::State { name } = &self.values[state.0 as usize].kind else { return Ok(x) };
        let bounds = self.bounds.get(name).cloned().unwrap_or_default();
        bounds.into_iter().try_fold(x, |x, bound| self.bounded("queue_push", "ids", x, bound.rule, 0))
    }

    fn bounded(&mut self, op: &'static str, operand: &'static str, v: Var, rule: IdRule, null: u32) -> Result<Var> {
        self.check_dtype(op, operand, v, Dtype::U32)?;
        let [rows, cols] = self.shape(v);
        let (root, offset, stride) = self.layout(v);
        // What a check has made is as the check wants it.
        if self.checks.iter().any(|(_, site, other, out)| (*out, site.rule, *other) == (v, rule, null)) {
            return Ok(v);
        }
        let mut proof = Proof { op, bounds: Vec::new(), seen: Vec::new() };
        if self.proven(root, Region { offset, stride, rows, cols }, rule, &mut proof)? {
            for (name, bound) in proof.bounds {
                add(self.bounds.entry(name).or_default(), &[bound]);
            }
            return Ok(v);
        }
        let known = self.checks.iter().find(|(of, site, other, checked)| {
            (*of, site.rule, *other) == (v, rule, null) && !self.written_since(root, *checked)
        });
        if let Some((_, _, _, checked)) = known {
            return Ok(*checked);
        }
        let (out, faults) = (self.temp_ids(rows, cols), self.input_ids(FAULTS, 1, CheckIds::words()));
        let site = Site { op, operand, source: self.source_of(root), rule, cols };
        let number = self.checks.len() as u32;
        self.checks.push((v, site, null, out));
        self.push(CheckIds { rows, cols, rule, null, number }, vec![Some(v)], vec![Some(out), Some(faults)], None)?;
        Ok(out)
    }

    /// Does a node write into a root that was recorded after the check which made `checked`?
    fn written_since(&self, root: Var, checked: Var) -> bool {
        let writes = |n: &&crate::tape::Node, to: Var| n.writes.iter().flatten().any(|w| self.layout(*w).0 == to);
        self.nodes.iter().rev().take_while(|n| !writes(n, checked)).any(|n| writes(&n, root))
    }

    /// Holds what the tape writes into states of ids by the bounds of those that read them, here and in the programs of the store.
    pub(crate) fn hold_states(&self, store: &crate::store::Store, bounds: &mut Bounds) -> Result<()> {
        for (i, value) in self.values.iter().enumerate() {
            let root = Var(i as u32);
            let Kind::State { name } = &value.kind else { continue };
            let writes = |n: &crate::tape::Node| n.writes.iter().flatten().any(|w| self.layout(*w).0 == root);
            if value.dtype != Dtype::U32 || !self.nodes.iter().any(writes) {
                continue;
            }
            let mut of_state = bounds.get(name).cloned().unwrap_or_default();
            add(&mut of_state, &store.bounds(name));
            for bound in &of_state {
                let mut proof = Proof { op: "state", bounds: Vec::new(), seen: Vec::new() };
                if !self.written(root, bound.region, bound.rule, &mut proof)? {
                    let what =
                        format!("other programs read ids from it, and this one writes others: {}", bound.rule.wants());
                    return Err(Error::Data { name: name.clone(), what });
                }
                for (name, bound) in proof.bounds {
                    add(bounds.entry(name).or_default(), &[bound]);
                }
            }
            store.writes(name, of_state);
        }
        Ok(())
    }

    /// What a root's words come from, for an error.
    fn source_of(&self, root: Var) -> String {
        match &self.values[root.0 as usize].kind {
            Kind::State { name } | Kind::Input { name } => name.clone(),
            _ => {
                let writes = |n: &&crate::tape::Node| n.writes.iter().flatten().any(|w| self.layout(*w).0 == root);
                let maker = self.nodes.iter().rev().filter(writes).find_map(|n| n.kernel.as_ref());
                maker.map_or_else(|| format!("%{}", root.0), |kernel| kernel.name().to_owned())
            }
        }
    }

    /// Does the rule hold for a region, whatever the host writes where it is held by the bounds that this gives?
    fn proven(&self, root: Var, region: Region, rule: IdRule, proof: &mut Proof) -> Result<bool> {
        if proof.seen.contains(&(root, region)) {
            return Ok(true);
        }
        proof.seen.push((root, region));
        match &self.values[root.0 as usize].kind {
            Kind::Const { words } => match check("constant", &[Bound { region, rule }], words) {
                Err(Error::Data { what, .. }) => Err(crate::error::shape(proof.op, what)),
                other => other.map(|()| true),
            },
            Kind::Input { name } => {
                proof.bounds.push((name.clone(), Bound { region, rule }));
                Ok(true)
            }
            Kind::State { name } => {
                // It starts as zeros, which a rule allows: row 0, the empty slice.
                proof.bounds.push((name.clone(), Bound { region, rule }));
                self.written(root, region, rule, proof)
            }
            Kind::Temp => {
                let made = self
                    .nodes
                    .iter()
                    .any(|n| n.kernel.is_some() && n.writes.iter().flatten().any(|w| self.layout(*w).0 == root));
                Ok(made && self.written(root, region, rule, proof)?)
            }
            Kind::Table { .. } | Kind::Arena | Kind::View { .. } | Kind::Slice { .. } => Ok(false),
        }
    }

    /// Does the rule hold for all that the nodes so far write into a region?
    fn written(&self, root: Var, region: Region, rule: IdRule, proof: &mut Proof) -> Result<bool> {
        for node in &self.nodes {
            let Some(kernel) = &node.kernel else { continue };
            for (slot, w) in node.writes.iter().enumerate() {
                let Some(w) = w.filter(|w| self.layout(*w).0 == root) else { continue };
                let Some(cols) = self.overlap(w, region) else { continue };
                let shape = |v: &Option<Var>| v.map(|v| self.shape(v));
                let reads: Vec<Option<[usize; 2]>> = node.reads.iter().map(shape).collect();
                let Some(made) = kernel.made(slot, &reads) else { return Ok(false) };
                let own = match rule {
                    IdRule::Below(n) => cols.clone().all(|c| made.below(c) <= n),
                    IdRule::Within(n) => made.whole_rows || made.within.is_some_and(|words| words <= n),
                };
                if !own {
                    return Ok(false);
                }
                if matches!(rule, IdRule::Within(_)) && !made.whole_rows {
                    continue;
                }
                for i in made.of {
                    let Some(read) = node.reads.get(i).copied().flatten() else { continue };
                    if !self.passed(read, &cols, self.shape(w)[1], rule, proof)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Does the rule hold for the columns `cols` of an operand that a node passes on into `wide` columns?
    fn passed(
        &self,
        read: Var,
        cols: &std::ops::Range<usize>,
        wide: usize,
        rule: IdRule,
        proof: &mut Proof,
    ) -> Result<bool> {
        if self.dtype(read) != Dtype::U32 {
            return Ok(false);
        }
        let [rows, own] = self.shape(read);
        let (root, offset, stride) = self.layout(read);
        let cols = if own == wide { cols.clone() } else { 0..own };
        let region = Region { offset: offset + cols.start, stride, rows, cols: cols.len() };
        self.proven(root, region, rule, proof)
    }

    /// The columns of a value in a region of its root; none where they do not meet.
    fn overlap(&self, v: Var, region: Region) -> Option<std::ops::Range<usize>> {
        let ([rows, cols], (_, offset, stride)) = (self.shape(v), self.layout(v));
        if stride != region.stride {
            return (rows * cols > 0).then_some(0..cols);
        }
        let [row, col] = Region { offset, stride, rows, cols }.start(stride);
        let [other_row, other_col] = region.start(stride);
        let meet = row < other_row + region.rows && other_row < row + rows;
        let (from, to) = (col.max(other_col), (col + cols).min(other_col + region.cols));
        (meet && from < to).then(|| from - col..to - col)
    }
}

/// What a proof has met so far.
struct Proof {
    op: &'static str,
    bounds: Vec<(String, Bound)>,
    seen: Vec<(Var, Region)>,
}
