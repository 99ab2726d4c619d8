//! Saving and resuming a training run.

use std::path::Path;

use candle_core::DType;

use super::Trainer;
use crate::LmError;
use crate::weights::{Checkpoint, write_tensors_with};

/// What is saved of a parameter, in the order of [`Saved`](super::slot::Saved).
const KINDS: [&str; 3] = ["weights", "first_moment", "second_moment"];

impl Trainer {
    /// Saves trained weights, moments and the number of steps as one file, which is replaced as a whole or not at all.
    ///
    /// A gradient that is being accumulated is not saved: save after [`Trainer::step`]. Weights that are not trained are
    /// not saved either: the run resumes on the model it started with.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_state(&self, path: &Path) -> Result<(), LmError> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (id, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.is_trained()) {
            for (kind, part) in
                KINDS.into_iter().zip(slot.saved(self.model.parameter_values(id)?, self.model.storage().dtype)?)
            {
                names.push(format!("{kind}.{id}"));
                values.push(part);
            }
        }
        let tensors = names.into_iter().zip(&values).map(|(name, part)| (name, vec![part.len()], part.as_slice()));
        write_tensors_with(path, DType::F32, tensors, &[("step", self.step.to_string())])
    }

    /// Continues from a file of [`Trainer::save_state`]: the next steps are those that the saved run would have taken.
    ///
    /// # Errors
    /// If the file cannot be read, is malformed, or belongs to another model or other trained tensors; the trainer is
    /// unchanged then.
    pub fn load_state(&mut self, path: &Path) -> Result<(), LmError> {
        let mut file = Checkpoint::of_file(path)?;
        let step = file.metadata("step").and_then(|step| step.parse().ok());
        let missing =
            || LmError::Format { path: path.to_owned(), reason: "no number of steps in its metadata".to_owned() };
        let step = step.ok_or_else(missing)?;
        let mut read = Vec::new();
        for (id, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.is_trained()) {
            let mut part = |kind: &str| {
                let mut values = Vec::new();
                file.read_into(&format!("{kind}.{id}"), &[slot.len()], &mut values).map(|()| values)
            };
            let [weights, first, second] = KINDS;
            read.push((id, [part(weights)?, part(first)?, part(second)?]));
        }
        if let Some(name) = file.unread().first() {
            let reason = format!("{name} belongs to a tensor that is not trained here");
            return Err(LmError::Format { path: path.to_owned(), reason });
        }
        for (id, saved) in read {
            self.model.set_parameter(id, saved[0].clone())?;
            self.slots[id].restore(saved, &self.model.parameters()[id])?;
        }
        self.step = step;
        self.clear();
        Ok(())
    }
}
