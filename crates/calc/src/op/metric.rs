//! Ops of estimators and metrics.

use serde::{Deserialize, Serialize};
use tdrm_algo::metrics::pass_at_k;

use crate::{CalcError, OpDoc};

/// Fields of `pass_at_k`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PassAtK {
    n: u64,
    c: u64,
    k: u64,
}

/// Answer of `pass_at_k`.
#[derive(Debug, Serialize)]
pub(crate) struct PassAtKAnswer {
    pass_at_k: f64,
}

impl PassAtK {
    pub(crate) fn run(self) -> Result<PassAtKAnswer, CalcError> {
        let pass_at_k = pass_at_k(self.n, self.c, self.k).map_err(CalcError::invalid)?;
        Ok(PassAtKAnswer { pass_at_k })
    }
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = &[OpDoc {
    name: "pass_at_k",
    kind: "",
    fields: "n, c, k",
    formula: "1 − C(n−c, k) / C(n, k)",
    example: r#"{"op":"pass_at_k","n":4,"c":1,"k":2}"#,
}];
