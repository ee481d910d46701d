//! A text model ready to answer: its towers, its documents' vectors.

use super::config::TextConfig;
use super::hashing::known;
use super::held_out::TrainedOn;
use super::tower::{Side, tower_tape};
use crate::serve::{Kept, Programs};
use crate::{Error, Index, Result};
use rt_data::Vocab;
use rt_tensor::{Device, Params, Step, Store};
use std::sync::Arc;

/// Trigrams of the texts that run together at inference, at most; never more than 256 texts.
const TRIGRAMS: usize = 1 << 17;

/// A document found for a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// From 1.
    pub rank: usize,
    /// Place in [`TextModel::documents`].
    pub document: u32,
    /// The document.
    pub text: String,
    /// Cosine of query and document.
    pub score: f32,
}

/// A DSSM over letter trigrams with its documents, on a device. Any number of threads may ask it at once, rayon's too.
pub struct TextModel {
    pub(crate) config: TextConfig,
    pub(crate) trigrams: Vocab,
    pub(crate) documents: Vec<String>,
    /// What the training data was called.
    pub(crate) data: String,
    /// What it was; `None` before training.
    pub(crate) trained_on: Option<TrainedOn>,
    pub(crate) store: Store,
    query: Programs,
    document: Programs,
    chunk: usize,
    index: Kept<Index>,
}

impl std::fmt::Debug for TextModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextModel").field("config", &self.config).finish_non_exhaustive()
    }
}

impl TextModel {
    /// A model at its initial values for `seed`: `trigrams` are its vocabulary, `documents` what it finds.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for settings that are wrong; device errors.
    pub(crate) fn build(
        device: &Device,
        config: TextConfig,
        trigrams: Vocab,
        documents: Vec<String>,
        data: String,
        seed: u64,
    ) -> Result<Self> {
        config.check()?;
        let chunk = (TRIGRAMS / config.max_trigrams).clamp(1, 256);
        let vocab = trigrams.rows();
        let tape = |params: Option<&Params>, side| tower_tape(&config, vocab, params, side, chunk);
        let first = tape(None, Side::Query)?;
        let params = tape(Some(first.params()), Side::Document)?.params().clone();
        let store = Store::new(device, &params, seed)?;
        let query = Programs::new(tape(Some(&params), Side::Query)?, &store)?;
        let document = Programs::new(tape(Some(&params), Side::Document)?, &store)?;
        let (trained_on, index) = (None, Kept::default());
        Ok(Self { config, trigrams, documents, data, trained_on, store, query, document, chunk, index })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// What it finds.
    #[must_use]
    pub fn documents(&self) -> &[String] {
        &self.documents
    }

    /// The device that it runs on.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.store.device()
    }

    /// Width of the vectors.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.config.dim
    }

    /// Numbers of parameters: (in tables, in dense layers).
    #[must_use]
    pub fn parameters(&self) -> (usize, usize) {
        self.store.params().counts()
    }

    /// Vectors of queries, `[queries, dim]`, of length one.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn query_tower(&self, queries: &[&str]) -> Result<Vec<f32>> {
        self.vectors(Side::Query, queries)
    }

    /// Vectors of documents, also of new ones, `[documents, dim]`, of length one.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn document_tower(&self, documents: &[&str]) -> Result<Vec<f32>> {
        self.vectors(Side::Document, documents)
    }

    fn vectors(&self, side: Side, texts: &[&str]) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(texts.len() * self.dim());
        let programs = match side {
            Side::Query => &self.query,
            Side::Document => &self.document,
        };
        for texts in texts.chunks(self.chunk) {
            let (mut ids, mut slices) = (Vec::new(), vec![0u32; self.chunk * 2]);
            for (slice, text) in slices.chunks_mut(2).zip(texts) {
                let start = ids.len() as u32;
                ids.extend(known(&self.trigrams, text, self.config.max_trigrams));
                slice.copy_from_slice(&[start, ids.len() as u32 - start]);
            }
            let vectors = programs.take()?.with(|program| {
                if !ids.is_empty() {
                    program.write_u32("input.texts", &ids)?;
                }
                program.write_u32("input.slices", &slices)?;
                program.run(&Step::new(1, 0, 0, texts.len() as u32))?;
                Ok(program.read_f32("vectors")?)
            })?;
            out.extend_from_slice(&vectors[..texts.len() * self.dim()]);
        }
        Ok(out)
    }

    /// Vectors of all its documents, `[documents, dim]`.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn document_vectors(&self) -> Result<Vec<f32>> {
        let all: Vec<&str> = self.documents.iter().map(String::as_str).collect();
        self.document_tower(&all)
    }

    /// The index of its documents, on its device. Made once and kept until the weights change.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where a weight is not a finite number; device errors.
    pub fn index(&self) -> Result<Arc<Index>> {
        self.index.get(|| Index::new(self.device(), &self.document_vectors()?, self.dim()))
    }

    /// Forgets what was derived from the weights.
    pub(crate) fn weights_changed(&self) {
        self.index.forget();
    }

    /// The best `k` documents for a query, by cosine; ties in the order of the data.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for a query without letters or digits, one that shares no letter trigram with the training
    /// data, and k = 0; device errors.
    pub fn search(&self, query: &str, k: usize) -> Result<Vec<Found>> {
        if super::words(query).is_empty() {
            let what = format!("the query `{}` has no letter and no digit: give a word", query.escape_debug());
            return Err(Error::Request(what));
        }
        if known(&self.trigrams, query, 1).is_empty() {
            let what = format!(
                "the query `{}` shares no letter trigram with the training data: nothing is known of it",
                query.escape_debug()
            );
            return Err(Error::Request(what));
        }
        let found = self.index()?.search(&self.query_tower(&[query])?, &[], k)?.pop().unwrap_or_default();
        let named = |(i, (document, score)): (usize, (u32, f32))| Found {
            rank: i + 1,
            document,
            text: self.documents[document as usize].clone(),
            score,
        };
        Ok(found.into_iter().enumerate().map(named).collect())
    }
}
