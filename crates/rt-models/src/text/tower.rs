//! The tape of a tower and of a training step.

use super::config::{TextConfig, TextLoss};
use crate::Result;
use crate::config::Hidden;
use crate::towers::linear_init;
use rt_tensor::{Activation, BagOptions, BatchSpec, Init, Negatives, Params, PositiveVar, SoftmaxSpec, Tape, Var};

/// Which side of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Query,
    Document,
}

/// Texts on a tape: an array of trigram ids, and (start, length) of each text `[n, 2]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextInputs {
    pub ids: Var,
    pub slices: Var,
    /// The longest text that can occur.
    pub longest: usize,
}

/// A tower being recorded.
pub(crate) struct Recorder<'a> {
    pub config: &'a TextConfig,
    /// Rows of the trigram table.
    pub vocab: usize,
    /// Dropout is recorded in training alone.
    pub training: bool,
    /// Numbers the dropouts of the tape.
    pub draws: u32,
}

impl Recorder<'_> {
    /// A tower: bag of trigrams, layers, a vector of length one `[n, dim]`.
    pub(crate) fn tower(&mut self, tape: &mut Tape, side: Side, texts: TextInputs) -> Result<Var> {
        let config = self.config;
        let name = match (config.shared_towers, side) {
            (true, _) => "shared",
            (false, Side::Query) => "query",
            (false, Side::Document) => "document",
        };
        let rows = tape.shape(texts.slices)[0];
        let mask = if self.training && config.dropout > 0.0 {
            self.draws += 1;
            Some(tape.history_mask(rows, texts.longest.div_ceil(32), config.dropout, self.draws)?)
        } else {
            None
        };
        let options = BagOptions {
            windows: vec![usize::MAX],
            mean: false,
            max_len: texts.longest,
            mask,
            hole: None,
            zones: false,
        };
        let widths: Vec<usize> = config.hidden.iter().copied().chain([config.dim]).collect();
        let table = tape.table(&format!("{name}.trigrams"), self.vocab, widths[0], Init::Normal(config.init_std))?;
        let bag = tape.bag(table, texts.ids, texts.slices, &options)?;
        // The counts times the first weights are there already: what is left of the first layer is its bias, as the
        // product of a column of ones, and its activation.
        let ones = tape.constant(&vec![1.0; rows], rows, 1)?;
        let bias = tape.param(&format!("{name}.0.bias"), [1, widths[0]], linear_init(widths[0]))?;
        let mut h = self.activated(tape, &format!("{name}.0"), ones, bias, None, Some(bag))?;
        for (layer, width) in widths.iter().enumerate().skip(1) {
            let label = format!("{name}.{layer}");
            let inputs = widths[layer - 1];
            let w = tape.param(&format!("{label}.weight"), [inputs, *width], linear_init(inputs))?;
            let b = tape.param(&format!("{label}.bias"), [1, *width], linear_init(inputs))?;
            let skip = if config.skip && layer + 1 == widths.len() {
                let table = tape.table(&format!("{name}.skip"), self.vocab, *width, Init::Normal(config.init_std))?;
                Some(tape.bag(table, texts.ids, texts.slices, &options)?)
            } else {
                None
            };
            h = self.activated(tape, &label, h, w, Some(b), skip)?;
        }
        Ok(tape.l2_normalize(h)?)
    }

    /// `activation(x w + bias + add)`.
    fn activated(
        &self,
        tape: &mut Tape,
        label: &str,
        x: Var,
        w: Var,
        bias: Option<Var>,
        add: Option<Var>,
    ) -> Result<Var> {
        let activation = match self.config.activation {
            Hidden::Relu => Activation::Relu,
            Hidden::Tanh => Activation::Tanh,
            Hidden::Sigmoid => Activation::Sigmoid,
            Hidden::Prelu | Hidden::Gelu => Activation::None,
        };
        let y = tape.linear(x, w, bias, add, activation)?;
        if self.config.activation == Hidden::Gelu {
            return Ok(tape.gelu(y)?);
        }
        if self.config.activation != Hidden::Prelu {
            return Ok(y);
        }
        let width = tape.shape(y)[1];
        let slope = tape.param(&format!("{label}.slope"), [1, width], Init::Constant(0.25))?;
        Ok(tape.prelu(y, slope)?)
    }
}

/// Sizes of the data that a training tape is recorded for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextSizes {
    /// Rows of the trigram table.
    pub vocab: usize,
    /// Distinct training pairs.
    pub pairs: usize,
    /// Training examples: pairs as often as they stand in the data.
    pub examples: usize,
    /// Queries and documents, the empty text included.
    pub rows: [usize; 2],
    /// Trigrams of all queries and of all documents.
    pub trigrams: [usize; 2],
    /// Longest query and document.
    pub longest: [usize; 2],
}

/// Records the loss and its gradients.
pub(crate) fn record_gradients(config: &TextConfig, sizes: &TextSizes) -> Result<Tape> {
    let mut tape = Tape::new();
    let mut recorder = Recorder { config, vocab: sizes.vocab, training: true, draws: 0 };
    let documents = sizes.rows[1];
    // A batch of pairs is cut as one of events of a single user, documents for items. Histories stay unread.
    let spec = BatchSpec {
        order: tape.input_ids("order", sizes.examples, 1),
        items: tape.input_ids("pair.document", sizes.pairs, 1),
        starts: tape.input_ids("pair.start", 2, 1),
        ends: None,
        batch: config.batch,
        history: 1,
    };
    let batch = tape.batch(&spec)?;
    let texts = |tape: &mut Tape, side: usize, name: &str, rows: Var| -> Result<TextInputs> {
        let all = tape.input_ids(&format!("{name}.slices"), sizes.rows[side], 2);
        let ids = tape.input_ids(&format!("{name}.texts"), sizes.trigrams[side], 1);
        Ok(TextInputs { ids, slices: tape.take(all, rows)?, longest: sizes.longest[side] })
    };
    let of_pair = tape.input_ids("pair.query", sizes.pairs, 1);
    let asked = tape.take(of_pair, batch.event)?;
    let query = texts(&mut tape, 0, "query", asked)?;
    let document = texts(&mut tape, 1, "document", batch.target)?;
    let users = recorder.tower(&mut tape, Side::Query, query)?;
    let positives = recorder.tower(&mut tape, Side::Document, document)?;
    let scale = 1.0 / config.temperature;
    let rows = match config.loss {
        TextLoss::InBatch => {
            // Without logQ the table is zero and all documents are corrected alike, which changes nothing; what stays is that
            // padding is left out.
            let table = tape.input("logq.documents", documents, 1);
            let logq = tape.logq(table, batch.target, true, 0.0)?;
            let candidates = Negatives { vectors: positives, logq: Some(logq), ids: Some(batch.target) };
            tape.softmax_loss(&SoftmaxSpec {
                users,
                weight: batch.weight,
                candidates,
                positive: PositiveVar::Diagonal,
                mask_hits: Some(batch.target),
                scale,
                correct_positive: !config.logq,
                smoothing: 0.0,
                mask: None,
            })?
        }
        TextLoss::List => {
            let (n, k) = (config.batch, config.negatives);
            let drawn = tape.input_ids("negatives", sizes.pairs, k);
            let list = tape.take(drawn, batch.event)?;
            let flat = tape.reshape(list, n * k, 1)?;
            let negative = texts(&mut tape, 1, "document", flat)?;
            let negatives = recorder.tower(&mut tape, Side::Document, negative)?;
            let near = tape.group_dot(users, positives, scale)?;
            let far = tape.group_dot(users, negatives, scale)?;
            let z = tape.concat(&[near, far])?;
            let masked = tape.concat_ids(&[batch.target, list])?;
            tape.list_softmax(z, batch.weight, Some(masked), None, false, 0.0)?
        }
    };
    let loss = tape.sum(rows)?;
    tape.log_sum("loss", rows, sizes.examples.div_ceil(config.batch))?;
    tape.backward(loss)?;
    Ok(tape)
}

/// Texts that run together at inference, with room for `chunk * max_trigrams` trigrams.
pub(crate) fn tower_tape(
    config: &TextConfig,
    vocab: usize,
    params: Option<&Params>,
    side: Side,
    chunk: usize,
) -> Result<Tape> {
    let mut tape = params.map_or_else(Tape::new, |p| Tape::with_params(p.clone()));
    let texts = TextInputs {
        ids: tape.input_ids("input.texts", chunk * config.max_trigrams, 1),
        slices: tape.input_ids("input.slices", chunk, 2),
        longest: config.max_trigrams,
    };
    let vectors = Recorder { config, vocab, training: false, draws: 0 }.tower(&mut tape, side, texts)?;
    tape.output("vectors", vectors);
    Ok(tape)
}
