//! One sequence of the batch.
#![expect(
    clippy::inline_always,
    reason = "one pass over the tokens: without it each part goes through memory, a quarter slower"
)]

use std::ops::Range;

use tdrm_core::{NonNegative, Positive, Real};

use super::covariance::Cut;
use super::kl::sign;
use super::level::Pool;
use super::mismatch::Weights;
use super::{
    Clip, Denominators, Filter, Kl, KlEstimator, Metrics, Objective, Point, RatioLevel, SequenceTerms, TokenLoss,
};

/// An objective made ready for a batch: what does not depend on the sequence.
pub(super) struct Rules<'a, F, S> {
    objective: &'a Objective,
    surrogate: &'a S,
    denominators: &'a Denominators,
    level: RatioLevel,
    limit: F,
    kl: Option<Kl>,
    eta: F,
    penalty: Option<(F, Cut)>,
    off_policy: Option<F>,
    entropy_cut: Option<f64>,
}

/// Loss and derivatives of one sequence.
pub(super) struct Sequence<F> {
    pub(super) loss: F,
    pub(super) dlogp: Vec<F>,
    pub(super) dentropy: Option<Vec<F>>,
    pub(super) dkl: Option<Vec<F>>,
    pub(super) dlog_z: F,
}

/// What a sequence needs while its tokens are visited.
struct Visit<'a, 'b, F> {
    terms: &'a SequenceTerms<'b, F>,
    weight: F,
    entropy_weight: F,
    mismatch: Weights<F>,
    drops_negative: bool,
    out: Sequence<F>,
    metrics: Metrics,
}

/// A pooled segment.
struct Pooled<F> {
    log_ratio: F,
    logp: F,
    ref_logp: F,
    log_ratio_sum: F,
    /// ∂(pooled value)/∂(token): 1/|segment| or 1.
    share: F,
}

impl<'a, F: Real, S: TokenLoss<F>> Rules<'a, F, S> {
    pub(super) fn new(objective: &'a Objective, surrogate: &'a S, denominators: &'a Denominators) -> Self {
        let threshold = |filter: &Filter| match filter {
            Filter::OffPolicySequence { threshold } => Some(threshold.get()),
            Filter::TopEntropy { .. } => None,
        };
        Self {
            objective,
            surrogate,
            denominators,
            level: objective.level(),
            limit: objective.log_ratio_limit.map_or_else(F::infinity, Positive::get),
            kl: objective.kl.filter(Kl::in_the_loss),
            eta: objective.entropy_coefficient.get(),
            penalty: objective.covariance_penalty.and_then(|p| Some((p.coefficient.get(), denominators.covariance?))),
            off_policy: objective.filters.iter().find_map(threshold),
            entropy_cut: objective.top_entropy().and(denominators.entropy_cut),
        }
    }

    pub(super) fn evaluate(&self, terms: &SequenceTerms<'_, F>, metrics: &mut Metrics) -> Sequence<F> {
        let mut visit = self.visit(terms);
        let all = 0..terms.logp.len();
        match self.level {
            RatioLevel::Token => {
                all.filter(|&t| terms.active(t)).for_each(|t| self.token(&mut visit, t, terms.log_ratio(t)));
            }
            level if level.own_gradient() => {
                let pooled = self.pool(terms, all.clone()).log_ratio;
                all.filter(|&t| terms.active(t)).for_each(|t| self.token(&mut visit, t, pooled));
            }
            level if level.by_step() && !terms.step_ends.is_empty() => {
                let starts = std::iter::once(0).chain(terms.step_ends.iter().copied());
                starts.zip(terms.step_ends).for_each(|(start, &end)| self.segment(&mut visit, start..end));
            }
            _ => self.segment(&mut visit, all),
        }
        metrics.absorb(&visit.metrics);
        visit.out
    }

    fn visit<'b, 'c>(&self, terms: &'c SequenceTerms<'b, F>) -> Visit<'c, 'b, F> {
        let (n, tokens) = (terms.logp.len(), terms.tokens());
        let bonus = self.objective.entropy_coefficient != NonNegative::ZERO;
        let entropy_aggregation = self.objective.entropy_aggregation.unwrap_or(self.objective.aggregation);
        let kept = Denominators { tokens: self.denominators.kept_tokens, ..*self.denominators };
        Visit {
            terms,
            weight: self.objective.aggregation.weight(tokens, self.denominators),
            entropy_weight: entropy_aggregation.weight(tokens, &kept),
            mismatch: self.objective.mismatch.map_or(Weights::Equal, |rule| rule.weights(terms)),
            drops_negative: self.off_policy.is_some_and(|threshold| Filter::divergence(terms) > threshold),
            out: Sequence {
                loss: F::zero(),
                dlogp: vec![F::zero(); n],
                dentropy: bonus.then(|| vec![F::zero(); n]),
                dkl: self.kl.filter(|kl| kl.estimator == KlEstimator::Full).map(|_| vec![F::zero(); n]),
                dlog_z: F::zero(),
            },
            metrics: Metrics { tokens: tokens as f64, ..Metrics::default() },
        }
    }

    /// A token with a gradient of its own, at its own log-ratio or at that of its sequence.
    #[inline(always)]
    fn token(&self, visit: &mut Visit<'_, '_, F>, t: usize, log_ratio: F) {
        let (x, dx) = self.limited(log_ratio);
        let terms = visit.terms;
        let point = Point {
            log_ratio: x,
            ratio: x.exp(),
            logp: terms.logp[t],
            ref_logp: terms.reference(t),
            advantage: terms.advantages.at(t),
            log_ratio_sum: terms.log_ratio(t),
            log_z: terms.log_z,
        };
        let (through, beside) = self.policy_term(visit, t, &point);
        let (kl_through, kl_beside) = self.regularise(visit, t, point.ratio);
        visit.out.dlogp[t] = (through + kl_through) * dx + beside + kl_beside;
    }

    /// The tokens of a segment that share one ratio and its gradient.
    fn segment(&self, visit: &mut Visit<'_, '_, F>, range: Range<usize>) {
        let terms = visit.terms;
        let pooled = self.pool(terms, range.clone());
        let (x, dx) = self.limited(pooled.log_ratio);
        let ratio = x.exp();
        let (mut through, mut shared) = (F::zero(), F::zero());
        for t in range.clone().filter(|&t| terms.active(t)) {
            let point = Point {
                log_ratio: x,
                ratio,
                logp: pooled.logp,
                ref_logp: pooled.ref_logp,
                advantage: terms.advantages.at(t),
                log_ratio_sum: pooled.log_ratio_sum,
                log_z: terms.log_z,
            };
            let (dratio, dlogp) = self.policy_term(visit, t, &point);
            let (kl_through, kl_beside) = self.regularise(visit, t, ratio);
            through = through + dratio + kl_through;
            shared = shared + dlogp;
            visit.out.dlogp[t] = kl_beside;
        }
        for t in range.filter(|&t| terms.active(t)) {
            let (_, slope) = self.surrogate.contribution(terms.log_ratio(t), terms.advantages.at(t));
            visit.out.dlogp[t] = visit.out.dlogp[t] + (through * dx * slope + shared) * pooled.share;
        }
    }

    /// Mean or sum over the active tokens of a segment.
    #[inline]
    fn pool(&self, terms: &SequenceTerms<'_, F>, range: Range<usize>) -> Pooled<F> {
        let zero = F::zero();
        let (mut pooled, mut tokens) =
            (Pooled { log_ratio: zero, logp: zero, ref_logp: zero, log_ratio_sum: zero, share: F::one() }, 0usize);
        for t in range.filter(|&t| terms.active(t)) {
            let x = terms.log_ratio(t);
            tokens += 1;
            pooled.log_ratio = pooled.log_ratio + self.surrogate.contribution(x, terms.advantages.at(t)).0;
            pooled.log_ratio_sum = pooled.log_ratio_sum + x;
            pooled.logp = pooled.logp + terms.logp[t];
            pooled.ref_logp = pooled.ref_logp + terms.reference(t);
        }
        let length = F::count(tokens) + self.surrogate.length_epsilon();
        if self.level.pool() == Pool::Mean && length > zero {
            pooled.share = length.recip();
        }
        pooled.log_ratio = pooled.log_ratio * pooled.share;
        pooled.logp = pooled.logp * pooled.share;
        pooled.ref_logp = pooled.ref_logp * pooled.share;
        pooled
    }

    /// x clamped to ± the limit, and the derivative of that.
    #[inline(always)]
    fn limited(&self, x: F) -> (F, F) {
        if x > self.limit {
            (self.limit, F::zero())
        } else if x < -self.limit {
            (-self.limit, F::zero())
        } else {
            (x, F::one())
        }
    }

    /// Adds the surrogate at a token; returns its derivatives through the ratio and beside it.
    #[inline(always)]
    fn policy_term(&self, visit: &mut Visit<'_, '_, F>, t: usize, point: &Point<F>) -> (F, F) {
        visit.observe_ratio(t, point.ratio);
        if !self.keeps(visit, t, point.advantage) {
            visit.metrics.dropped += 1.0;
            return (F::zero(), F::zero());
        }
        let dual = self.surrogate.at(point);
        let weight = visit.weight * visit.mismatch.at(visit.terms, t);
        visit.observe_clip(dual.clip);
        visit.out.loss = visit.out.loss + weight * dual.loss;
        if self.surrogate.learns_log_z() {
            visit.out.dlog_z = visit.out.dlog_z + weight * dual.dlogp;
        }
        (weight * dual.dratio, weight * dual.dlogp)
    }

    #[inline(always)]
    fn keeps(&self, visit: &Visit<'_, '_, F>, t: usize, advantage: F) -> bool {
        self.uncertain(visit.terms, t) && !(visit.drops_negative && advantage < F::zero())
    }

    #[inline(always)]
    fn uncertain(&self, terms: &SequenceTerms<'_, F>, t: usize) -> bool {
        self.entropy_cut.is_none_or(|cut| terms.entropy[t].as_f64() >= cut)
    }

    /// Adds KL, covariance penalty and entropy bonus of a token; returns derivatives through the ratio and beside it.
    #[inline(always)]
    fn regularise(&self, visit: &mut Visit<'_, '_, F>, t: usize, ratio: F) -> (F, F) {
        self.entropy_bonus(visit, t);
        let (through, beside) = self.kl_term(visit, t, ratio);
        (through, beside + self.covariance_term(visit, t))
    }

    #[inline(always)]
    fn kl_term(&self, visit: &mut Visit<'_, '_, F>, t: usize, ratio: F) -> (F, F) {
        let Some(kl) = self.kl else { return (F::zero(), F::zero()) };
        let weight = visit.weight * kl.coefficient.get::<F>();
        let factor = if kl.weighted_by_ratio { ratio } else { F::one() };
        let (value, slope) = if let Some(dkl) = &mut visit.out.dkl {
            dkl[t] = weight * factor;
            (visit.terms.full_kl[t], F::zero())
        } else {
            let dual = kl.at(visit.terms.logp[t] - visit.terms.ref_logp[t]);
            (dual.value, dual.dlogp)
        };
        visit.metrics.kl += (factor * value).as_f64();
        visit.out.loss = visit.out.loss + weight * factor * value;
        let through = if kl.weighted_by_ratio { weight * factor * value } else { F::zero() };
        (through, weight * factor * slope)
    }

    #[inline(always)]
    fn covariance_term(&self, visit: &mut Visit<'_, '_, F>, t: usize) -> F {
        let terms = visit.terms;
        match self.penalty {
            Some((coefficient, cut)) if cut.takes(terms.advantages.at(t), terms.logp[t]) => {
                let x = terms.log_ratio(t);
                visit.out.loss = visit.out.loss + visit.weight * coefficient * x.abs();
                visit.weight * coefficient * sign(x)
            }
            _ => F::zero(),
        }
    }

    #[inline(always)]
    fn entropy_bonus(&self, visit: &mut Visit<'_, '_, F>, t: usize) {
        let Some(&entropy) = visit.terms.entropy.get(t) else { return };
        visit.metrics.entropy += entropy.as_f64();
        let uncertain = self.uncertain(visit.terms, t);
        if let Some(dentropy) = visit.out.dentropy.as_mut().filter(|_| uncertain) {
            let weight = self.eta * visit.entropy_weight;
            dentropy[t] = -weight;
            visit.out.loss = visit.out.loss - weight * entropy;
        }
    }
}

impl<F: Real> Visit<'_, '_, F> {
    #[inline(always)]
    fn observe_ratio(&mut self, t: usize, ratio: F) {
        self.metrics.ratio_mean += ratio.as_f64();
        self.metrics.ratio_max = self.metrics.ratio_max.max(ratio.as_f64());
        self.metrics.approx_kl -= self.terms.log_ratio(t).as_f64();
    }

    #[inline(always)]
    fn observe_clip(&mut self, clip: Clip) {
        match clip {
            Clip::None => {}
            Clip::Low => self.metrics.clip_fraction_low += 1.0,
            Clip::High => self.metrics.clip_fraction_high += 1.0,
            Clip::Dual => self.metrics.clip_fraction_dual += 1.0,
        }
    }
}
