//! Evaluation: the loss, its derivatives, the metrics.

use tdrm_core::Real;

use super::filter::quantile;
use super::sequence::{Rules, Sequence};
use super::surrogate::with_surrogate;
use super::{
    Denominators, Filter, Kl, KlEstimator, Metrics, Objective, ObjectiveError, SequenceTerms, Surrogate, TokenLoss,
};

/// Derivatives of the loss in everything that the model computed, ragged like the batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Coefficients<F> {
    /// ∂L/∂log π, `[n][T_i]`; 0 at masked tokens.
    pub log_probs: Vec<Vec<F>>,
    /// ∂L/∂H, `[n][T_i]`; empty without an entropy bonus.
    pub entropies: Vec<Vec<F>>,
    /// ∂L/∂KL_t, `[n][T_i]`; empty unless the KL estimator is `full`.
    pub full_kls: Vec<Vec<F>>,
    /// ∂L/∂ln Z, `[n]`; empty unless the surrogate learns it.
    pub log_z: Vec<F>,
}

impl From<Coefficients<f64>> for tdrm_core::Coefficients {
    fn from(c: Coefficients<f64>) -> Self {
        Self { log_probs: c.log_probs, entropies: c.entropies, values: Vec::new() }
    }
}

/// What an objective is on a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation<F> {
    /// L.
    pub loss: F,
    /// ∂L/∂(what the model computed).
    pub coefficients: Coefficients<F>,
    /// What to log.
    pub metrics: Metrics,
}

impl Objective {
    /// Loss and derivatives on a batch, or on a micro-batch of the batch that `denominators` counts.
    ///
    /// Losses and coefficients of micro-batches add up to those of the whole batch. A number that is not finite comes
    /// out as one; nothing panics.
    ///
    /// # Errors
    /// If columns differ in length, one that the objective needs is empty, or a whole-batch statistic is missing.
    pub fn evaluate<F: Real>(
        &self,
        batch: &[SequenceTerms<'_, F>],
        denominators: &Denominators,
    ) -> Result<Evaluation<F>, ObjectiveError> {
        self.check()?;
        for (i, terms) in batch.iter().enumerate() {
            terms.check(i)?;
            self.check_columns(terms, i)?;
        }
        self.check_prepared(batch, denominators)?;
        Ok(with_surrogate!(&self.surrogate, |s| run(self, s, batch, denominators)))
    }

    /// Counts the whole batch and computes the statistics that filters and the covariance penalty need.
    ///
    /// # Errors
    /// As [`Objective::evaluate`].
    pub fn prepare<F: Real>(&self, batch: &[SequenceTerms<'_, F>]) -> Result<Denominators, ObjectiveError> {
        for (i, terms) in batch.iter().enumerate() {
            terms.check(i)?;
            self.check_columns(terms, i)?;
        }
        let mut denominators = Denominators::of(batch);
        denominators.entropy_cut = self.top_entropy().and_then(|fraction| {
            let tokens = |s: &SequenceTerms<'_, F>| -> Vec<f64> {
                (0..s.logp.len()).filter(|&t| s.active(t)).map(|t| s.entropy[t].as_f64()).collect()
            };
            quantile(batch.iter().flat_map(tokens).collect(), 1.0 - fraction)
        });
        denominators.covariance = self.covariance_penalty.and_then(|penalty| penalty.cut(batch));
        denominators.kept_tokens = batch.iter().map(|s| kept(s, denominators.entropy_cut)).sum();
        Ok(denominators)
    }

    pub(super) fn top_entropy(&self) -> Option<f64> {
        self.filters.iter().find_map(|filter| match filter {
            Filter::TopEntropy { fraction } => Some(fraction.get()),
            Filter::OffPolicySequence { .. } => None,
        })
    }

    fn check_columns<F: Real>(&self, terms: &SequenceTerms<'_, F>, i: usize) -> Result<(), ObjectiveError> {
        match self.kl.filter(Kl::in_the_loss) {
            Some(kl) if kl.estimator == KlEstimator::Full => terms.need("full_kl", terms.full_kl, "the full KL", i)?,
            Some(_) => terms.need("ref_logp", terms.ref_logp, "the KL term", i)?,
            None => {}
        }
        if matches!(self.surrogate, Surrogate::TrajectoryBalance(_)) {
            terms.need("ref_logp", terms.ref_logp, "trajectory balance", i)?;
        }
        if self.entropy_coefficient != tdrm_core::NonNegative::ZERO || self.top_entropy().is_some() {
            terms.need("entropy", terms.entropy, "the entropy term", i)?;
        }
        if self.mismatch.is_some() {
            terms.need("rollout_logp", terms.rollout_logp, "the mismatch weight", i)?;
        }
        Ok(())
    }

    fn check_prepared<F: Real>(&self, batch: &[SequenceTerms<'_, F>], d: &Denominators) -> Result<(), ObjectiveError> {
        let empty = batch.iter().all(|terms| terms.tokens() == 0);
        if self.top_entropy().is_some() && d.entropy_cut.is_none() && !empty {
            return Err(ObjectiveError::Unprepared { needed_by: "the entropy filter" });
        }
        if self.covariance_penalty.is_some() && d.covariance.is_none() && !empty {
            return Err(ObjectiveError::Unprepared { needed_by: "the covariance penalty" });
        }
        Ok(())
    }
}

/// Number of tokens that the entropy filter keeps.
fn kept<F: Real>(terms: &SequenceTerms<'_, F>, cut: Option<f64>) -> f64 {
    let Some(cut) = cut else { return terms.tokens() as f64 };
    (0..terms.logp.len()).filter(|&t| terms.active(t) && terms.entropy[t].as_f64() >= cut).count() as f64
}

fn run<F: Real, S: TokenLoss<F>>(
    objective: &Objective,
    surrogate: &S,
    batch: &[SequenceTerms<'_, F>],
    denominators: &Denominators,
) -> Evaluation<F> {
    let rules = Rules::new(objective, surrogate, denominators);
    let mut out = Evaluation { loss: F::zero(), coefficients: Coefficients::default(), metrics: Metrics::default() };
    for terms in batch {
        let sequence = rules.evaluate(terms, &mut out.metrics);
        out.loss = out.loss + sequence.loss;
        out.coefficients.push(sequence, surrogate.learns_log_z());
    }
    out.metrics = out.metrics.finish();
    out
}

impl<F: Real> Coefficients<F> {
    fn push(&mut self, sequence: Sequence<F>, learns_log_z: bool) {
        self.log_probs.push(sequence.dlogp);
        self.entropies.extend(sequence.dentropy);
        self.full_kls.extend(sequence.dkl);
        self.log_z.extend(learns_log_z.then_some(sequence.dlog_z));
    }
}
