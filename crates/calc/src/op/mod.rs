//! The requests, one file per family: a `Request` with `run`, and its lines of the list.

mod kl;
mod metric;
mod objective;
mod preference;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CalcError, OpDoc};

/// A request; the field `op` says which.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Op {
    PassAtK(metric::PassAtK),
    Objective(objective::Request),
    Preference(preference::Request),
    Kl(kl::Request),
}

impl Op {
    pub(crate) fn run(self) -> Result<Value, CalcError> {
        match self {
            Self::PassAtK(request) => answer(request.run()),
            Self::Objective(request) => answer(request.run()),
            Self::Preference(request) => answer(request.run()),
            Self::Kl(request) => answer(request.run()),
        }
    }
}

fn answer(result: Result<impl Serialize, CalcError>) -> Result<Value, CalcError> {
    Ok(serde_json::to_value(result?)?)
}

/// The lines of the list, family by family.
pub(crate) const OPS: &[&[OpDoc]] = &[metric::OPS, objective::OPS, preference::OPS, kl::OPS];
