//! One sequence of the batch.

use std::ops::Range;

use tdrm_core::{NonNegative, Positive, Real};

use super::block::{BLOCK, Block, limited, reduce};
use super::covariance::Cut;
use super::kl::sign;
use super::level::Pool;
use super::mismatch::Weights;
use super::{
    Advantages, Clip, Denominators, Filter, Kl, KlEstimator, Metrics, Objective, Point, RatioLevel, SequenceTerms,
    TokenLoss,
};
use crate::exponential::exp;

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
    tokens: usize,
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
            RatioLevel::Token => self.tokens(&mut visit, all, None),
            level if level.own_gradient() => {
                let pooled = self.pool(terms, all.clone()).log_ratio;
                self.tokens(&mut visit, all, Some(pooled));
            }
            level if level.by_step() && !terms.step_ends.is_empty() => {
                let starts = std::iter::once(0).chain(terms.step_ends.iter().copied());
                starts.zip(terms.step_ends).for_each(|(start, &end)| self.segment(&mut visit, start..end));
            }
            _ => self.segment(&mut visit, all),
        }
        self.entropy_bonus(&mut visit);
        self.covariance_term(&mut visit);
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

    /// Tokens with gradients of their own, at their own log-ratios or at that of their sequence.
    fn tokens(&self, visit: &mut Visit<'_, '_, F>, mut range: Range<usize>, pooled: Option<F>) {
        let terms = visit.terms;
        let shared = pooled.map(|x| limited(x, self.limit));
        let kl_by_own_ratio = shared.is_some() && self.kl.is_some_and(|kl| kl.weighted_by_ratio);
        let mut block = Block::new();
        while block.next(terms, &mut range) {
            match shared {
                Some((x, _)) => block.shared_ratio(x, exp(x)),
                None => block.own_ratios(terms, self.limit),
            }
            self.policy_term(visit, &mut block, None);
            let mut shared = shared;
            if kl_by_own_ratio {
                self.settle(visit, &block, shared.take());
                (block.dratio, block.dlogp) = ([F::zero(); BLOCK], [F::zero(); BLOCK]);
                block.own_ratios(terms, self.limit);
            }
            self.kl_term(visit, &mut block);
            self.settle(visit, &block, shared);
        }
    }

    /// Adds the derivatives of a block's tokens to those of the sequence; those through a ratio where it is not limited.
    fn settle(&self, visit: &mut Visit<'_, '_, F>, block: &Block<F>, shared: Option<(F, bool)>) {
        let free = |k: usize| shared.unwrap_or_else(|| limited(block.log_ratio[k], self.limit)).1;
        let through = |k: usize| if free(k) { block.dratio[k] } else { F::zero() };
        block.update(&mut visit.out.dlogp, |k, settled| settled + through(k) + block.dlogp[k]);
    }

    /// The tokens of a segment that share one ratio and its gradient.
    fn segment(&self, visit: &mut Visit<'_, '_, F>, range: Range<usize>) {
        let terms = visit.terms;
        let pooled = self.pool(terms, range.clone());
        let (x, free) = limited(pooled.log_ratio, self.limit);
        let ratio = exp(x);
        let point = Point {
            log_ratio: x,
            ratio,
            logp: pooled.logp,
            ref_logp: pooled.ref_logp,
            advantage: F::zero(),
            log_ratio_sum: pooled.log_ratio_sum,
            log_z: terms.log_z,
        };
        let (mut through, shared) = match terms.advantages {
            Advantages::Sequence(advantage) if self.says_the_same_everywhere(visit) => {
                self.policy_term_of_all(visit, &Point { advantage, ..point }, pooled.tokens)
            }
            _ => self.policy_term_by_token(visit, &point, range.clone()),
        };
        if !free {
            through = F::zero();
        }
        let out = &mut visit.out.dlogp;
        if !self.surrogate.reshapes() {
            return add_to_active(terms, range, (through + shared) * pooled.share, out);
        }
        let (mut block, mut rest) = (Block::new(), range);
        while block.next(terms, &mut rest) {
            let slope = |k: usize| self.surrogate.contribution(block.log_ratio[k], block.advantage[k]).1;
            let pooled = |k: usize| (through * slope(k) + shared) * pooled.share;
            block.update(out, |k, beside| beside + pooled(k));
        }
    }

    /// Σ of the weighted derivatives of a segment, through its ratio and beside it.
    fn policy_term_by_token(&self, visit: &mut Visit<'_, '_, F>, point: &Point<F>, mut range: Range<usize>) -> (F, F) {
        let (mut through, mut shared) = (F::zero(), F::zero());
        let mut block = Block::new();
        while block.next(visit.terms, &mut range) {
            block.shared_ratio(point.log_ratio, point.ratio);
            self.policy_term(visit, &mut block, Some(point));
            shared = shared + block.sum(&block.dlogp);
            block.dlogp.fill(F::zero());
            self.kl_term(visit, &mut block);
            through = through + block.sum(&block.dratio);
            block.update(&mut visit.out.dlogp, |k, _| block.dlogp[k]);
        }
        (through, shared)
    }

    /// Whether no token of a segment with one advantage can differ from another.
    fn says_the_same_everywhere(&self, visit: &Visit<'_, '_, F>) -> bool {
        let equal = matches!(visit.mismatch, Weights::Equal) && self.entropy_cut.is_none() && !visit.drops_negative;
        equal && self.kl.is_none()
    }

    /// The same where every token says the same: once, times their number.
    fn policy_term_of_all(&self, visit: &mut Visit<'_, '_, F>, point: &Point<F>, tokens: usize) -> (F, F) {
        let (dual, number) = (self.surrogate.at(point), F::count(tokens));
        let weight = visit.weight * number;
        visit.observe_all(point, dual.clip, tokens as f64);
        visit.out.loss = visit.out.loss + weight * dual.loss;
        if self.surrogate.learns_log_z() {
            visit.out.dlog_z = visit.out.dlog_z + weight * dual.dlogp;
        }
        (weight * dual.dratio, weight * dual.dlogp)
    }

    /// Mean or sum over the active tokens of a segment.
    fn pool(&self, terms: &SequenceTerms<'_, F>, mut range: Range<usize>) -> Pooled<F> {
        let zero = F::zero();
        let mut pooled =
            Pooled { log_ratio: zero, logp: zero, ref_logp: zero, log_ratio_sum: zero, tokens: 0, share: F::one() };
        let mut block = Block::new();
        while block.next(terms, &mut range) {
            pooled.tokens += block.len();
            // a column that was not given stays 0
            let given = |column: &[F], array: &[F; BLOCK]| if column.is_empty() { zero } else { block.sum(array) };
            let own = given(terms.old_logp, &block.log_ratio);
            let contributed = if self.surrogate.reshapes() {
                let contribution = |k: usize| self.surrogate.contribution(block.log_ratio[k], block.advantage[k]).0;
                let contributions: [F; BLOCK] = std::array::from_fn(contribution);
                reduce(&contributions[..block.len()], |sum, x| sum + x)
            } else {
                own
            };
            pooled.log_ratio = pooled.log_ratio + contributed;
            pooled.log_ratio_sum = pooled.log_ratio_sum + own;
            pooled.logp = pooled.logp + block.sum(&block.logp);
            pooled.ref_logp = pooled.ref_logp + given(terms.ref_logp, &block.reference);
        }
        let length = F::count(pooled.tokens) + self.surrogate.length_epsilon();
        if self.level.pool() == Pool::Mean && length > zero {
            pooled.share = length.recip();
        }
        pooled.log_ratio = pooled.log_ratio * pooled.share;
        pooled.logp = pooled.logp * pooled.share;
        pooled.ref_logp = pooled.ref_logp * pooled.share;
        pooled
    }

    /// The surrogate at the tokens of a block: its loss into the total, its weighted derivatives into the block.
    fn policy_term(&self, visit: &mut Visit<'_, '_, F>, block: &mut Block<F>, pooled: Option<&Point<F>>) {
        let terms = visit.terms;
        visit.observe_ratios(block);
        let equal = matches!(visit.mismatch, Weights::Equal);
        let dropped = if equal && self.entropy_cut.is_none() && !visit.drops_negative {
            let weight = visit.weight;
            block.evaluate(self.surrogate, pooled, terms.log_z, |_, _| Some(weight))
        } else {
            let weight = |t: usize| visit.weight * visit.mismatch.at(terms, t);
            let weight = |t: usize, advantage: F| self.keeps(visit, t, advantage).then(|| weight(t));
            block.evaluate(self.surrogate, pooled, terms.log_z, weight)
        };
        visit.metrics.dropped += dropped;
        visit.observe_clips(block);
        visit.out.loss = visit.out.loss + block.sum(&block.loss);
        if self.surrogate.learns_log_z() {
            visit.out.dlog_z = visit.out.dlog_z + block.sum(&block.dlogp);
        }
    }

    fn keeps(&self, visit: &Visit<'_, '_, F>, t: usize, advantage: F) -> bool {
        self.uncertain(visit.terms, t) && !(visit.drops_negative && advantage < F::zero())
    }

    fn uncertain(&self, terms: &SequenceTerms<'_, F>, t: usize) -> bool {
        self.entropy_cut.is_none_or(|cut| terms.entropy[t].as_f64() >= cut)
    }

    /// Adds the KL to the derivatives of a block through the ratio and beside it, and to the loss.
    fn kl_term(&self, visit: &mut Visit<'_, '_, F>, block: &mut Block<F>) {
        let Some(kl) = self.kl else { return };
        let weight = visit.weight * kl.coefficient.get::<F>();
        for k in 0..block.len() {
            let factor = if kl.weighted_by_ratio { block.ratio[k] } else { F::one() };
            let (value, slope) = if let Some(dkl) = &mut visit.out.dkl {
                let t = block.position(k);
                dkl[t] = weight * factor;
                (visit.terms.full_kl[t], F::zero())
            } else {
                let dual = kl.at(block.logp[k] - block.reference[k]);
                (dual.value, dual.dlogp)
            };
            visit.metrics.kl += (factor * value).as_f64();
            visit.out.loss = visit.out.loss + weight * factor * value;
            if kl.weighted_by_ratio {
                block.dratio[k] = block.dratio[k] + weight * factor * value;
            }
            block.dlogp[k] = block.dlogp[k] + weight * factor * slope;
        }
    }

    fn covariance_term(&self, visit: &mut Visit<'_, '_, F>) {
        let (terms, Some((coefficient, cut))) = (visit.terms, self.penalty) else { return };
        let takes = |t: usize| terms.active(t) && cut.takes(terms.advantages.at(t), terms.logp[t]);
        for t in (0..terms.logp.len()).filter(|&t| takes(t)) {
            let (x, weight) = (terms.log_ratio(t), visit.weight * coefficient);
            visit.out.loss = visit.out.loss + weight * x.abs();
            visit.out.dlogp[t] = visit.out.dlogp[t] + weight * sign(x);
        }
    }

    fn entropy_bonus(&self, visit: &mut Visit<'_, '_, F>) {
        let terms = visit.terms;
        for (t, &entropy) in terms.entropy.iter().enumerate().filter(|&(t, _)| terms.active(t)) {
            visit.metrics.entropy += entropy.as_f64();
            let uncertain = self.uncertain(terms, t);
            if let Some(dentropy) = visit.out.dentropy.as_mut().filter(|_| uncertain) {
                let weight = self.eta * visit.entropy_weight;
                dentropy[t] = -weight;
                visit.out.loss = visit.out.loss - weight * entropy;
            }
        }
    }
}

/// The same for every active token of a range.
fn add_to_active<F: Real>(terms: &SequenceTerms<'_, F>, range: Range<usize>, x: F, out: &mut [F]) {
    if terms.mask.is_empty() {
        out[range].iter_mut().for_each(|d| *d = *d + x);
    } else {
        range.filter(|&t| terms.mask[t]).for_each(|t| out[t] = out[t] + x);
    }
}

impl<F: Real> Visit<'_, '_, F> {
    fn observe_ratios(&mut self, block: &Block<F>) {
        self.metrics.ratio_mean += block.sum(&block.ratio).as_f64();
        self.metrics.ratio_max = self.metrics.ratio_max.max(block.largest_ratio().as_f64());
        self.metrics.approx_kl -= block.sum(&block.log_ratio).as_f64();
    }

    /// Tokens that share everything.
    fn observe_all(&mut self, point: &Point<F>, clip: Clip, tokens: f64) {
        let metrics = &mut self.metrics;
        if tokens > 0.0 {
            metrics.ratio_mean += tokens * point.ratio.as_f64();
            metrics.ratio_max = metrics.ratio_max.max(point.ratio.as_f64());
            metrics.approx_kl -= point.log_ratio_sum.as_f64();
        }
        match clip {
            Clip::None => {}
            Clip::Low => metrics.clip_fraction_low += tokens,
            Clip::High => metrics.clip_fraction_high += tokens,
            Clip::Dual => metrics.clip_fraction_dual += tokens,
        }
    }

    fn observe_clips(&mut self, block: &Block<F>) {
        self.metrics.clip_fraction_low += block.clipped(Clip::Low);
        self.metrics.clip_fraction_high += block.clipped(Clip::High);
        self.metrics.clip_fraction_dual += block.clipped(Clip::Dual);
    }
}
