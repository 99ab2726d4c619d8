//! The smallest learner: a softmax table with exact gradients.

mod optimiser;
mod table_policy;

pub use optimiser::Optimiser;
pub use table_policy::{StateAction, TablePolicy};
