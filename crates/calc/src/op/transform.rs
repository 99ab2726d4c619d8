//! Ops of values as numbers and as distributions: `transform`, `categorical_projection`, `two_hot`.

use serde::{Deserialize, Serialize};
use tdrm_algo::value::{
    expectation, huber, project, signed_expm1, signed_hyperbolic, signed_log1p, signed_parabolic, two_hot,
};

use crate::{CalcError, OpDoc};

/// Fields of `transform`.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Transform {
    SignedHyperbolic {
        x: Vec<f64>,
        #[serde(default = "thousandth")]
        epsilon: f64,
    },
    SignedParabolic {
        x: Vec<f64>,
        #[serde(default = "thousandth")]
        epsilon: f64,
    },
    #[serde(rename = "signed_log1p")]
    SignedLog1p { x: Vec<f64> },
    #[serde(rename = "signed_expm1")]
    SignedExpm1 { x: Vec<f64> },
    Huber {
        x: Vec<f64>,
        #[serde(default = "one")]
        delta: f64,
    },
}

const fn thousandth() -> f64 {
    1e-3
}

const fn one() -> f64 {
    1.0
}

/// Answer of `transform`.
#[derive(Debug, Serialize)]
pub(crate) struct Transformed {
    y: Vec<f64>,
}

impl Transform {
    #[expect(clippy::unnecessary_wraps, reason = "the shape of every op")]
    pub(crate) fn run(self) -> Result<Transformed, CalcError> {
        let map = |x: Vec<f64>, f: &dyn Fn(f64) -> f64| x.into_iter().map(f).collect();
        let y = match self {
            Self::SignedHyperbolic { x, epsilon } => map(x, &|x| signed_hyperbolic(x, epsilon)),
            Self::SignedParabolic { x, epsilon } => map(x, &|x| signed_parabolic(x, epsilon)),
            Self::SignedLog1p { x } => map(x, &signed_log1p),
            Self::SignedExpm1 { x } => map(x, &signed_expm1),
            Self::Huber { x, delta } => map(x, &|x| huber(x, delta).0),
        };
        Ok(Transformed { y })
    }
}

/// Fields of `categorical_projection`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Projection {
    atoms: Vec<f64>,
    probabilities: Vec<f64>,
    support: Vec<f64>,
}

/// Fields of `two_hot`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TwoHot {
    x: f64,
    support: Vec<f64>,
}

/// Answer of both.
#[derive(Debug, Serialize)]
pub(crate) struct Distribution {
    probabilities: Vec<f64>,
    mean: f64,
}

impl Projection {
    pub(crate) fn run(self) -> Result<Distribution, CalcError> {
        let probabilities = project(&self.atoms, &self.probabilities, &self.support).map_err(CalcError::invalid)?;
        distribution(probabilities, &self.support)
    }
}

impl TwoHot {
    pub(crate) fn run(self) -> Result<Distribution, CalcError> {
        distribution(two_hot(self.x, &self.support).map_err(CalcError::invalid)?, &self.support)
    }
}

fn distribution(probabilities: Vec<f64>, support: &[f64]) -> Result<Distribution, CalcError> {
    let mean = expectation(&probabilities, support).map_err(CalcError::invalid)?;
    Ok(Distribution { probabilities, mean })
}

const fn transform(kind: &'static str, fields: &'static str, formula: &'static str, example: &'static str) -> OpDoc {
    OpDoc { name: "transform", kind, fields, formula, example }
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    transform(
        "signed_hyperbolic",
        "x[N], epsilon = 0.001",
        "sign(x)(√(|x|+1) − 1) + ε x",
        r#"{"op":"transform","kind":"signed_hyperbolic","x":[3]}"#,
    ),
    transform(
        "signed_parabolic",
        "x[N], epsilon = 0.001",
        "the inverse of signed_hyperbolic",
        r#"{"op":"transform","kind":"signed_parabolic","x":[3]}"#,
    ),
    transform("signed_log1p", "x[N]", "sign(x) ln(1 + |x|)", r#"{"op":"transform","kind":"signed_log1p","x":[3]}"#),
    transform("signed_expm1", "x[N]", "sign(x)(e^|x| − 1)", r#"{"op":"transform","kind":"signed_expm1","x":[3]}"#),
    transform(
        "huber",
        "x[N], delta = 1",
        "½x² for |x| ≤ δ, δ(|x| − ½δ) beyond",
        r#"{"op":"transform","kind":"huber","x":[3]}"#,
    ),
    OpDoc {
        name: "categorical_projection",
        kind: "",
        fields: "atoms[N], probabilities[N], support[M]",
        formula: "each atom to its two neighbours in proportion to their nearness (C51)",
        example: r#"{"op":"categorical_projection","atoms":[1.25],"probabilities":[1],"support":[0,1,2]}"#,
    },
    OpDoc {
        name: "two_hot",
        kind: "",
        fields: "x, support[M]",
        formula: "the distribution on two neighbours whose mean is x",
        example: r#"{"op":"two_hot","x":1.25,"support":[0,1,2]}"#,
    },
];
