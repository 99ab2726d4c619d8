//! Fused kernels of decoder language models on plain slices, forward and backward.
//!
//! Everything here works on `&[f32]`, row-major, and knows no tensor crate. A batch is **packed**: the tokens of all
//! sequences lie one after another, `[N, d]`, and [`Rows`] says where each sequence begins; there is no padding.
//!
//! * The coarse operations are [`layer`] (a whole decoder layer), [`head`] (final norm, logits, log-probabilities or a
//!   scalar head) and [`decode`] (new rows against a static key-value cache); the fine ones are the modules they use.
//! * Each kernel is compiled three times (baseline, AVX2 + FMA, AVX-512) and chosen at run time; large products run in the
//!   tile registers of AMX where there are any.
//! * Results do not depend on the number of threads: work is cut into fixed groups of sequences, and partial sums are
//!   added in a fixed order.
//! * The same operations for Nvidia GPUs are in [`cuda`]: checked here, compiled and run with the feature of that name.
//! * Wrong lengths are a [`ShapeError`], never undefined behaviour: `unsafe` stays behind these checks.

#[macro_use]
mod simd;

pub mod adamw;
pub mod alloc;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
pub mod attention;
pub mod batch;
pub mod cuda;
pub mod decode;
mod dots;
mod error;
pub mod head;
pub mod layer;
pub mod linear;
pub mod logprob;
pub mod mapped;
pub mod matmul;
pub mod optimiser;
pub mod panels;
pub mod rmsnorm;
pub mod rope;
mod rows;
mod scratch;
pub mod swiglu;
#[cfg(test)]
mod testing;

pub use error::ShapeError;
pub use rows::Rows;
