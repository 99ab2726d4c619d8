//! Tests that need more than one crate of `tdrm`, all in one program; they see what a user of the facade sees.

mod dyn_safe;
mod laws;
mod methods;
mod papers;
mod threads;
