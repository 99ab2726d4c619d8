//! The op `objective`.

use serde::{Deserialize, Serialize};

use crate::{CalcError, OpDoc};

/// Its fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {}

/// Its answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {}

impl Request {
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the shape of every op")]
    pub(crate) fn run(self) -> Result<Answer, CalcError> {
        Ok(Answer {})
    }
}

/// Its lines of the list.
pub(crate) const OPS: &[OpDoc] = &[];
