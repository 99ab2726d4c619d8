//! Parameters: their names, reading and writing them, adapters.

mod checkpoint;
mod layout;
mod save;

pub(crate) use checkpoint::{Checkpoint, Element};
pub(crate) use layout::{Affine, Fresh, Id, LayerIds, Layout, Part, ScoreIds, Spec, ValueHead};
pub(crate) use save::{write_atomically, write_tensors, write_tensors_with};
