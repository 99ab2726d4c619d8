//! dfdx back end of tdrm: a compact decoder language model and actor-critics.
