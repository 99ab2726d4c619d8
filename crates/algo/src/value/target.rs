//! The built-in value targets as a config.

use serde::{Deserialize, Serialize};
use tdrm_core::{Real, ShapeError, Steps, ValueTarget};

use super::tdrm::Tdrm;
use super::{
    BatchTarget, Gae, ImportanceSampling, LeakyVTrace, MonteCarlo, NStep, OffPolicy, QLambda, Retrace, Soft, Td0,
    TdLambda, TimeMajor, Trace, TreeBackup, Upgo, VTrace, Watkins,
};

/// Any built-in value target; in a config `{"kind": "td_lambda", "lambda": 0.9}`.
///
/// ```
/// use tdrm_algo::value::Target;
/// use tdrm_core::{Steps, ValueTarget};
/// let target: Target = serde_json::from_str(r#"{"kind":"n_step","n":1}"#)?;
/// let steps = Steps::new(&[1.0, 2.0], &[0.5, 0.0], &[0.0, 4.0, 9.0])?;
/// assert_eq!(target.targets(steps), [3.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// One-step target.
    Td0(Td0),
    /// n-step return.
    NStep(NStep),
    /// λ-return.
    TdLambda(TdLambda),
    /// Discounted return.
    MonteCarlo(MonteCarlo),
    /// Advantages plus values.
    Gae(Gae),
    /// V-trace.
    VTrace(VTrace),
    /// V-trace between clipped and plain importance sampling.
    LeakyVTrace(LeakyVTrace),
    /// Per-decision importance sampling.
    ImportanceSampling(ImportanceSampling),
    /// Retrace(λ).
    Retrace(Retrace),
    /// Tree-backup(λ).
    TreeBackup(TreeBackup),
    /// Peng's Q(λ).
    #[serde(alias = "peng_q_lambda")]
    QLambda(QLambda),
    /// Watkins's Q(λ).
    #[serde(alias = "watkins_q_lambda")]
    Watkins(Watkins),
    /// Off-policy return with given traces.
    #[serde(alias = "general_off_policy")]
    OffPolicy(OffPolicy),
    /// Upgoing returns.
    Upgo(Upgo),
    /// Entropy- or KL-regularised λ-return.
    Soft(Soft),
    /// TDRM's clamped n-step target.
    Tdrm(Tdrm),
}

/// Applies `$body` to the variant's struct, whichever it is.
macro_rules! each {
    ($target:expr, $inner:ident => $body:expr) => {
        match $target {
            Target::Td0($inner) => $body,
            Target::NStep($inner) => $body,
            Target::TdLambda($inner) => $body,
            Target::MonteCarlo($inner) => $body,
            Target::Gae($inner) => $body,
            Target::VTrace($inner) => $body,
            Target::LeakyVTrace($inner) => $body,
            Target::ImportanceSampling($inner) => $body,
            Target::Retrace($inner) => $body,
            Target::TreeBackup($inner) => $body,
            Target::QLambda($inner) => $body,
            Target::Watkins($inner) => $body,
            Target::OffPolicy($inner) => $body,
            Target::Upgo($inner) => $body,
            Target::Soft($inner) => $body,
            Target::Tdrm($inner) => $body,
        }
    };
}

impl<F: Real> ValueTarget<F> for Target {
    fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        each!(self, target => target.targets_into(steps, out));
    }
}

impl<F: Real> BatchTarget<F> for Target {
    fn batch_into(&self, batch: &[Steps<'_, F>], out: &mut Vec<F>) {
        each!(self, target => target.batch_into(batch, out));
    }

    fn time_major_into(&self, steps: TimeMajor<'_, F>, out: &mut Vec<F>) {
        each!(self, target => target.time_major_into(steps, out));
    }
}

impl Target {
    /// Checks what a config states per step (λ, traces) against a trajectory.
    ///
    /// The formulas are total without it; this finds a list that was meant for another trajectory.
    ///
    /// # Errors
    /// If a list has not T entries.
    pub fn check(&self, steps: usize) -> Result<(), ShapeError> {
        match self {
            Self::OffPolicy(OffPolicy { traces }) => ShapeError::check("traces", steps, traces.len()),
            _ => self.lambda().map_or(Ok(()), |lambda| lambda.check(steps)),
        }
    }

    /// The trace decay, of the kinds that have one.
    #[must_use]
    pub const fn lambda(&self) -> Option<&Trace> {
        match self {
            Self::NStep(NStep { lambda, .. })
            | Self::TdLambda(TdLambda { lambda })
            | Self::Gae(Gae { lambda })
            | Self::VTrace(VTrace { lambda, .. })
            | Self::LeakyVTrace(LeakyVTrace { lambda, .. })
            | Self::ImportanceSampling(ImportanceSampling { lambda })
            | Self::Retrace(Retrace { lambda })
            | Self::TreeBackup(TreeBackup { lambda })
            | Self::QLambda(QLambda { lambda })
            | Self::Watkins(Watkins { lambda })
            | Self::Soft(Soft { lambda, .. }) => Some(lambda),
            Self::Td0(_) | Self::MonteCarlo(_) | Self::OffPolicy(_) | Self::Upgo(_) | Self::Tdrm(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_typo_in_a_config_is_an_error_with_the_right_name() {
        let error = serde_json::from_str::<Target>(r#"{"kind":"td_lambda","lamda":0.9}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `lamda`, expected `lambda`"), "{error}");
        assert!(serde_json::from_str::<Target>(r#"{"kind":"td0","n":1}"#).is_err());
        assert!(
            serde_json::from_str::<Target>(r#"{"kind":"td1"}"#).unwrap_err().to_string().contains("unknown variant")
        );
    }

    #[test]
    fn configs_round_trip() {
        for text in [
            r#"{"kind":"td0"}"#,
            r#"{"kind":"td_lambda","lambda":0.9}"#,
            r#"{"kind":"gae","lambda":[0.5,1.0]}"#,
            r#"{"kind":"v_trace","lambda":1.0,"rho_clip":1.0,"c_clip":1.0,"pg_rho_clip":1.0}"#,
            r#"{"kind":"off_policy","traces":[0.5]}"#,
            r#"{"kind":"tdrm","n":2,"gamma":0.8,"clamp":[0.0,1.0]}"#,
        ] {
            let target: Target = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&target).unwrap(), text);
        }
    }

    #[test]
    fn lists_are_checked_against_the_trajectory() {
        let read = |text| serde_json::from_str::<Target>(text).unwrap();
        assert!(read(r#"{"kind":"gae","lambda":[0.5,1.0]}"#).check(3).is_err());
        assert!(read(r#"{"kind":"off_policy","traces":[0.5]}"#).check(1).is_ok());
        assert!(read(r#"{"kind":"upgo"}"#).check(3).is_ok());
    }
}
