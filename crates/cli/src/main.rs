//! The command line of tdrm.
fn main() {}
