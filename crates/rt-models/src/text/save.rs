//! A saved text model: the folder of the other models, with trigrams and documents in place of vocabularies.

use super::config::TextConfig;
use super::held_out::TrainedOn;
use super::model::TextModel;
use crate::save::{folder, parameters, read_folder, set_parameters, sha256, write_folder, wrong_kind};
use crate::{Error, Result};
use rt_data::Vocab;
use rt_tensor::Device;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Debug, Serialize, Deserialize)]
struct Readable {
    model: String,
    /// As TOML.
    config: String,
    data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trained_on: Option<TrainedOn>,
    trigrams: Vec<String>,
    documents: Vec<String>,
}

impl TextModel {
    /// Writes the model to the folder `out`: whole, or not at all. A model that stands there is replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`] where something that is no model stands there, [`Error::Io`] where the system refuses.
    pub fn save(&self, out: &Path) -> Result<()> {
        let readable = Readable {
            model: super::NAME.into(),
            config: self.config.to_toml(),
            data: self.data.clone(),
            trained_on: self.trained_on.clone(),
            trigrams: self.trigrams.iter().map(str::to_owned).collect(),
            documents: self.documents.clone(),
        };
        let readable = serde_json::to_vec_pretty(&readable).map_err(|e| folder(out, e.to_string()))?;
        write_folder(out, &parameters(&self.store, Vec::new())?, &readable)
    }

    /// Loads a saved model onto a device.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`] for a folder that is no text model, of a newer format, or damaged; device errors.
    pub fn load(device: &Device, path: &Path) -> Result<Self> {
        let (tensors, readable) = read_folder(path)?;
        let damaged = |what: String| folder(path, format!("is damaged: {what}"));
        wrong_kind(path, &readable, true)?;
        let readable: Readable = serde_json::from_slice(&readable).map_err(|e| damaged(e.to_string()))?;
        let tensors = SafeTensors::deserialize(&tensors).map_err(|e| damaged(e.to_string()))?;
        let mut config = TextConfig::new();
        config.read_toml(&readable.config)?;
        let mut vocab = Vocab::new();
        readable.trigrams.iter().for_each(|t| _ = vocab.insert(t));
        if readable.documents.is_empty() {
            return Err(damaged("it has no document".into()));
        }
        let mut model = Self::build(device, config, vocab, readable.documents, readable.data, 0)?;
        model.trained_on = readable.trained_on;
        set_parameters(&model.store, &tensors).map_err(|e| match e {
            Error::Request(what) => damaged(what),
            e => e,
        })?;
        Ok(model)
    }

    /// SHA-256 of the parameters' bytes (little-endian f32), in the order of their names.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn sha256(&self) -> Result<String> {
        sha256(&self.store)
    }
}
