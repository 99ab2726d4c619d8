//! A whole decoder layer as one operation, forward and backward.
//!
//! ```text
//! h  = x  + Wₒ · attention(rope(W_qkv · norm₁(x) + b))
//! y  = h  + W_down · swiglu(W_gate,up · norm₂(h))
//! ```
//!
//! The layer's parameters are one flat slice, laid out by [`LayerShape::parts`]: projections that read the same input
//! lie next to each other and are one matrix product. Each group of sequences runs through the whole layer on one
//! thread; the backward pass recomputes the normalised inputs and the gated activations.

mod backward;
mod forward;
mod saved;
mod shape;

pub use backward::{Workspace, backward};
pub(crate) use forward::add_bias;
pub use forward::forward;
pub use saved::Saved;
pub use shape::{LayerParts, LayerShape, QkvBias};
