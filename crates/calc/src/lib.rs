//! The calculator of tdrm: JSON lines in, JSON lines out, over the pure mathematics.
