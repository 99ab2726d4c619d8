//! Tests of the published methods.

mod tdrm;
