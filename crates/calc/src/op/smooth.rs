//! Ops of smoothness: `td_residual`, `smoothness`, `mean_by_step`, `gaussian_smooth`.

use serde::{Deserialize, Serialize};
use tdrm_algo::metrics::{Smoothness, ValueRow, gaussian_smooth, mean_by_step, smoothness};
use tdrm_algo::value::Td0;
use tdrm_core::{ShapeError, Steps, ValueTarget};

use crate::{CalcError, OpDoc};

/// Fields of `td_residual`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Residual {
    rewards: Vec<f64>,
    discounts: Vec<f64>,
    values: Vec<f64>,
}

/// Answer of `td_residual`.
#[derive(Debug, Serialize)]
pub(crate) struct ResidualAnswer {
    residuals: Vec<f64>,
    /// (1/T) Σ |δ|, 0 without steps.
    mean_absolute: f64,
    /// (1/T) Σ δ², 0 without steps.
    mean_squared: f64,
}

impl Residual {
    pub(crate) fn run(self) -> Result<ResidualAnswer, CalcError> {
        let steps = Steps::new(&self.rewards, &self.discounts, &self.values)?;
        let residuals: Vec<f64> = Td0 {}.targets(steps).iter().zip(&self.values).map(|(y, v)| y - v).collect();
        let mean = |f: fn(f64) -> f64| residuals.iter().fold(0.0, |sum, &d| sum + f(d)) / residuals.len().max(1) as f64;
        let (mean_absolute, mean_squared) = (mean(f64::abs), mean(|d| d * d));
        Ok(ResidualAnswer { residuals, mean_absolute, mean_squared })
    }
}

/// Fields of `smoothness`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    rows: Vec<ValueRow<f64>>,
}

impl Rows {
    pub(crate) fn run(self) -> Result<Smoothness, CalcError> {
        smoothness(&self.rows).map_err(CalcError::invalid)
    }
}

/// Fields of `mean_by_step`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByStep {
    steps: Vec<usize>,
    x: Vec<f64>,
}

/// Answer of `mean_by_step`: the steps that occur, ascending.
#[derive(Debug, Serialize)]
pub(crate) struct ByStepAnswer {
    steps: Vec<usize>,
    means: Vec<f64>,
}

impl ByStep {
    pub(crate) fn run(self) -> Result<ByStepAnswer, CalcError> {
        ShapeError::check("steps", self.x.len(), self.steps.len())?;
        let rows: Vec<(usize, f64)> = self.steps.into_iter().zip(self.x).collect();
        let (steps, means) = mean_by_step(&rows).into_iter().unzip();
        Ok(ByStepAnswer { steps, means })
    }
}

/// Fields of `gaussian_smooth`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Smooth {
    x: Vec<f64>,
    #[serde(default = "unit")]
    sigma: f64,
}

const fn unit() -> f64 {
    1.0
}

/// Answer of `gaussian_smooth`.
#[derive(Debug, Serialize)]
pub(crate) struct SmoothAnswer {
    y: Vec<f64>,
}

impl Smooth {
    #[expect(clippy::unnecessary_wraps, reason = "the shape of every op")]
    pub(crate) fn run(self) -> Result<SmoothAnswer, CalcError> {
        Ok(SmoothAnswer { y: gaussian_smooth(&self.x, self.sigma) })
    }
}

const fn op(name: &'static str, fields: &'static str, formula: &'static str, example: &'static str) -> OpDoc {
    OpDoc { name, kind: "", fields, formula, example }
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    op(
        "td_residual",
        "rewards[T], discounts[T], values[T+1]",
        "δ_t = r_t + γ_t v_{t+1} − v_t; with the means of |δ| and δ²",
        r#"{"op":"td_residual","rewards":[1,2],"discounts":[0.9,0],"values":[0.5,0.4,0]}"#,
    ),
    op(
        "smoothness",
        "rows[N].{step, value, next_value, target, distance, terminal}",
        "|V'−V|/d, |y−V|, |V'−V|, |y−V|/V: mean and std, terminal rows apart",
        r#"{"op":"smoothness","rows":[{"step":0,"value":0.5,"next_value":0.4,"target":0.4,"distance":1,"terminal":false}]}"#,
    ),
    op(
        "mean_by_step",
        "steps[N], x[N]",
        "mean of x over the rows of each step; answers steps and means",
        r#"{"op":"mean_by_step","steps":[0,2,0],"x":[1,5,3]}"#,
    ),
    op(
        "gaussian_smooth",
        "x[N], sigma = 1",
        "Gaussian kernel cut at 4σ, ends mirrored",
        r#"{"op":"gaussian_smooth","x":[0,1,0]}"#,
    ),
];

#[cfg(test)]
mod tests {
    use crate::line;

    #[test]
    fn residuals_by_hand() {
        // 1 + 0.5·4 − 2 = 1;  2 + 0 − 4 = −2;  means 3/2 and 5/2
        let answer = line(r#"{"op":"td_residual","rewards":[1,2],"discounts":[0.5,0],"values":[2,4,9]}"#);
        assert_eq!(answer, r#"{"mean_absolute":1.5,"mean_squared":2.5,"residuals":[1.0,-2.0]}"#);
        let none = line(r#"{"op":"td_residual","rewards":[],"discounts":[],"values":[1]}"#);
        assert_eq!(none, r#"{"mean_absolute":0.0,"mean_squared":0.0,"residuals":[]}"#);
    }

    #[test]
    fn steps_are_averaged_apart() {
        let answer = line(r#"{"op":"mean_by_step","steps":[0,2,0],"x":[1,5,3]}"#);
        assert_eq!(answer, r#"{"means":[2.0,5.0],"steps":[0,2]}"#);
        assert!(line(r#"{"op":"mean_by_step","steps":[0],"x":[]}"#).starts_with(r#"{"error""#));
    }
}
