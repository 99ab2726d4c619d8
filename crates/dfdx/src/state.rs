//! Saving and resuming a training run.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

use crate::checkpoint::{self, io, write_atomically};
use crate::layout::Entry;
use crate::{LmConfig, LmError, Trainer};

/// Weights and both moments, each flat.
const NAMES: [&str; 3] = ["weights", "first_moment", "second_moment"];

impl Trainer {
    /// Saves weights, moments, step and configuration as one file, which is replaced as a whole or not at all.
    ///
    /// A gradient that is being accumulated is not saved: save after [`Trainer::step`].
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_state(&self, path: &Path) -> Result<(), LmError> {
        let shape = [self.lm.len()];
        let parts = [self.lm.theta(), &self.first_moment, &self.second_moment];
        let tensors = NAMES.into_iter().zip(parts).map(|(name, data)| (name, shape.as_slice(), data));
        let config = serde_json::to_string(self.lm.config())?;
        let metadata = [("step".to_owned(), self.step.to_string()), ("config".to_owned(), config)];
        write_atomically(path, &checkpoint::serialise(tensors, HashMap::from(metadata))?)
    }

    /// Continues from a file of [`Trainer::save_state`]: the next steps are those that the saved run would have taken.
    ///
    /// # Errors
    /// If the file cannot be read, is malformed, or belongs to a model of another configuration; the trainer is
    /// unchanged then.
    pub fn load_state(&mut self, path: &Path) -> Result<(), LmError> {
        let bytes = fs::read(path).map_err(io(path))?;
        let file = SafeTensors::deserialize(&bytes)?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let step = self.check_metadata(header.metadata().as_ref())?;
        let n = self.lm.len();
        let entry = |i: usize| Entry { range: i * n..(i + 1) * n, shape: vec![n] };
        let entries: BTreeMap<_, _> =
            NAMES.iter().enumerate().map(|(i, name)| ((*name).to_owned(), entry(i))).collect();
        checkpoint::check(&file, &entries, &[], &[])?;
        let mut all = vec![0.0; 3 * n];
        checkpoint::read(&file, &entries, &mut all)?;
        self.lm.theta_mut().copy_from_slice(&all[..n]);
        self.first_moment.copy_from_slice(&all[n..2 * n]);
        self.second_moment.copy_from_slice(&all[2 * n..]);
        self.step = step;
        self.clear();
        Ok(())
    }

    /// The saved step, if the saved configuration is ours.
    fn check_metadata(&self, metadata: Option<&HashMap<String, String>>) -> Result<u64, LmError> {
        let get = |key: &str| metadata.and_then(|m| m.get(key)).map(String::as_str).unwrap_or_default();
        let config: LmConfig = serde_json::from_str(get("config"))?;
        if config != *self.lm.config() {
            let (expected, got) = (self.lm.config().to_json(), config.to_json());
            return Err(LmError::Config { field: "configuration of a saved run", expected, got });
        }
        let expected = || "a number of steps".to_owned();
        let got = get("step").to_owned();
        get("step").parse().map_err(|_| LmError::Config { field: "step", expected: expected(), got })
    }
}
