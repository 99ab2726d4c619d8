//! The targets of TDRM, as published and repaired.
//!
//! ```text
//! published   u_t = Σ_{k<n} γ^k r_{t+k} + γ^n V(s_{t+n}),   y_t = clamp(u_t, 0, 1),   y_K = label
//! repaired    y_t = V'(s_{t+n}), or the label where the window reaches the end;  λ-return likewise
//! ```
//!
//! A trajectory has K steps and K + 1 prefixes `s_0` (the question) … `s_K` (the complete answer). [`TdMode`] turns
//! values at the prefixes into regression targets; [`CosineShaping`] is the published reward; [`Saturation`] counts
//! how often the clamp decided; [`Tdrm`] is the same backup on [`tdrm_core::Steps`]. *TDRM*, arXiv 2509.15110.

mod clamp;
mod mode;
mod shaping;
mod steps;

pub use clamp::{Clamp, ClampError, Saturation};
pub use mode::{Backup, PrefixValues, TdMode};
pub use shaping::{CosineShaping, Curve, Sign};
pub use steps::{Tdrm, row_target};
