//! The ops `fit` and `value_loss`.

use serde::{Deserialize, Serialize};
use tdrm_algo::objective::{Denominators, ValueLoss, ValueTerms};
use tdrm_algo::preference::{
    FitLoss, GroupPairwise, InfoNce, Ordinal, PlackettLuce, PreferenceError, ReturnDecomposition, cross_entropy,
};

use super::kl::same_length;
use super::objective::mask::{self, Mask};
use super::objective::{Counts, column};
use crate::{CalcError, OpDoc};

/// Fields of `fit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    loss: Loss,
    outputs: Outputs,
    #[serde(default)]
    targets: Option<Outputs>,
    #[serde(default)]
    mask: Option<Mask>,
    #[serde(default)]
    groups: Vec<i64>,
    #[serde(default)]
    lengths: Vec<usize>,
}

/// One number per entry, or one list per entry.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged, expecting = "[N] or [N][K] numbers")]
enum Outputs {
    Scalars(Vec<f64>),
    Lists(Vec<Vec<f64>>),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Loss {
    Bce(Empty),
    Mse(Empty),
    MseSigmoid(Empty),
    Focal(Focal),
    CrossEntropy(Empty),
    Pairwise(GroupPairwise),
    PlackettLuce(PlackettLuce),
    Ordinal(Ordinal),
    InfoNce(InfoNce),
    ReturnDecomposition(ReturnDecomposition),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Focal {
    gamma: tdrm_core::NonNegative,
    #[serde(default)]
    alpha: Option<tdrm_core::Probability>,
}

/// Answer of `fit`.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    loss: f64,
    doutputs: Outputs,
    #[serde(skip_serializing_if = "Option::is_none")]
    dcuts: Option<Vec<f64>>,
}

impl Request {
    pub(crate) fn run(self) -> Result<Answer, CalcError> {
        match &self.loss {
            Loss::Bce(_) => self.scalars(FitLoss::Bce {}),
            Loss::Mse(_) => self.scalars(FitLoss::Mse {}),
            Loss::MseSigmoid(_) => self.scalars(FitLoss::MseSigmoid {}),
            Loss::Focal(f) => self.scalars(FitLoss::Focal { gamma: f.gamma, alpha: f.alpha }),
            Loss::CrossEntropy(_) => self.classes(),
            Loss::Pairwise(loss) => self.pairwise(*loss),
            Loss::Ordinal(loss) => self.ordinal(loss),
            Loss::PlackettLuce(loss) => self.lists(|_, row| Ok(loss.evaluate(row))),
            Loss::InfoNce(loss) => {
                let positives = self.indices(self.target_scalars()?)?;
                self.lists(|i, row| loss.evaluate(row, positives[i]))
            }
            Loss::ReturnDecomposition(loss) => {
                let returns = self.target_scalars()?;
                same_length("targets", self.list_outputs()?.len(), returns.len())?;
                self.lists(|i, row| {
                    Ok(loss.evaluate(row, returns[i], self.lengths.get(i).copied().unwrap_or(row.len())))
                })
            }
        }
    }

    fn scalar_outputs(&self) -> Result<&[f64], CalcError> {
        match &self.outputs {
            Outputs::Scalars(outputs) => Ok(outputs),
            Outputs::Lists(lists) if lists.is_empty() => Ok(&[]),
            Outputs::Lists(_) => Err(CalcError::invalid("expected `outputs` of shape [N], got [N][K]")),
        }
    }

    fn list_outputs(&self) -> Result<&[Vec<f64>], CalcError> {
        match &self.outputs {
            Outputs::Lists(lists) => Ok(lists),
            Outputs::Scalars(outputs) if outputs.is_empty() => Ok(&[]),
            Outputs::Scalars(_) => Err(CalcError::invalid("expected `outputs` of shape [N][K], got [N]")),
        }
    }

    fn target_scalars(&self) -> Result<&[f64], CalcError> {
        match &self.targets {
            Some(Outputs::Scalars(targets)) => Ok(targets),
            Some(Outputs::Lists(_)) => Err(CalcError::invalid("expected `targets` of shape [N], got [N][K]")),
            None => Err(CalcError::invalid("missing field `targets`, which this kind needs")),
        }
    }

    /// Which entries take part, and 1/(their number).
    fn active(&self, n: usize) -> Result<(Vec<bool>, f64), CalcError> {
        let mask = mask::slice(self.mask.as_ref());
        if mask.is_empty() {
            return Ok((vec![true; n], 1.0 / n.max(1) as f64));
        }
        same_length("mask", n, mask.len())?;
        Ok((mask.to_vec(), 1.0 / mask.iter().filter(|&&m| m).count().max(1) as f64))
    }

    fn scalars(&self, loss: FitLoss) -> Result<Answer, CalcError> {
        let (outputs, targets) = (self.scalar_outputs()?, self.target_scalars()?);
        same_length("targets", outputs.len(), targets.len())?;
        let (active, share) = self.active(outputs.len())?;
        let mut total = 0.0;
        let mut derivatives = vec![0.0; outputs.len()];
        for i in (0..outputs.len()).filter(|&i| active[i]) {
            let (value, slope) = loss.at(outputs[i], targets[i]);
            total += share * value;
            derivatives[i] = share * slope;
        }
        Ok(Answer { loss: total, doutputs: Outputs::Scalars(derivatives), dcuts: None })
    }

    fn classes(&self) -> Result<Answer, CalcError> {
        let n = self.list_outputs()?.len();
        let distributions = self.distributions()?;
        same_length("targets", n, distributions.len())?;
        self.lists(|i, row| cross_entropy(row, &distributions[i]))
    }

    /// Targets as distributions over the classes: given so, or as class indices.
    fn distributions(&self) -> Result<Vec<Vec<f64>>, CalcError> {
        if let Some(Outputs::Lists(distributions)) = &self.targets {
            return Ok(distributions.clone());
        }
        let labels = self.indices(self.target_scalars()?)?;
        let outputs = self.list_outputs()?;
        same_length("targets", outputs.len(), labels.len())?;
        let one_hot = |(row, &label): (&Vec<f64>, &usize)| {
            if label >= row.len() {
                return Err(PreferenceError::Index { column: "targets", expected: row.len(), got: label });
            }
            Ok((0..row.len()).map(|class| f64::from(u8::from(class == label))).collect())
        };
        outputs.iter().zip(&labels).map(one_hot).collect::<Result<_, _>>().map_err(CalcError::invalid)
    }

    fn indices(&self, numbers: &[f64]) -> Result<Vec<usize>, CalcError> {
        let index = |&x: &f64| {
            let whole = x >= 0.0 && x.fract().abs().total_cmp(&0.0).is_eq() && x < 1e9;
            if whole { Ok(x as usize) } else { Err(CalcError::invalid(format!("expected an index, got {x}"))) }
        };
        let indices = numbers.iter().map(index).collect::<Result<Vec<_>, _>>()?;
        if let Outputs::Lists(lists) = &self.outputs {
            same_length("targets", lists.len(), indices.len())?;
        }
        Ok(indices)
    }

    /// Mean over the lists of outputs.
    fn lists(
        &self,
        loss: impl Fn(usize, &[f64]) -> Result<(f64, Vec<f64>), PreferenceError>,
    ) -> Result<Answer, CalcError> {
        let outputs = self.list_outputs()?;
        let (active, share) = self.active(outputs.len())?;
        let mut total = 0.0;
        let mut derivatives: Vec<Vec<f64>> = outputs.iter().map(|row| vec![0.0; row.len()]).collect();
        for i in (0..outputs.len()).filter(|&i| active[i]) {
            let (value, slopes) = loss(i, &outputs[i]).map_err(CalcError::invalid)?;
            total += share * value;
            derivatives[i] = slopes.into_iter().map(|slope| share * slope).collect();
        }
        Ok(Answer { loss: total, doutputs: Outputs::Lists(derivatives), dcuts: None })
    }

    /// Mean over the groups of the pairwise loss within each.
    fn pairwise(&self, loss: GroupPairwise) -> Result<Answer, CalcError> {
        let (scores, labels) = (self.scalar_outputs()?, self.target_scalars()?);
        same_length("targets", scores.len(), labels.len())?;
        let groups = if self.groups.is_empty() { vec![0; scores.len()] } else { self.groups.clone() };
        same_length("groups", scores.len(), groups.len())?;
        let mut names = groups.clone();
        names.sort_unstable();
        names.dedup();
        let mut answer = (0.0, vec![0.0; scores.len()]);
        for name in &names {
            let members: Vec<usize> = (0..scores.len()).filter(|&i| groups[i] == *name).collect();
            let own: Vec<f64> = members.iter().map(|&i| scores[i]).collect();
            let correct: Vec<bool> = members.iter().map(|&i| labels[i] > 0.5).collect();
            let (value, slopes) = loss.evaluate(&own, &correct).map_err(CalcError::invalid)?;
            answer.0 += value / names.len() as f64;
            for (&i, slope) in members.iter().zip(slopes) {
                answer.1[i] = slope / names.len() as f64;
            }
        }
        Ok(Answer { loss: answer.0, doutputs: Outputs::Scalars(answer.1), dcuts: None })
    }

    fn ordinal(&self, loss: &Ordinal) -> Result<Answer, CalcError> {
        let labels = self.indices(self.target_scalars()?)?;
        let e = loss.evaluate(self.scalar_outputs()?, &labels).map_err(CalcError::invalid)?;
        Ok(Answer { loss: e.loss, doutputs: Outputs::Scalars(e.scores), dcuts: Some(e.cuts) })
    }
}

/// Fields of `value_loss`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Values {
    loss: ValueLoss,
    sequences: Vec<Sequence>,
    #[serde(default)]
    denominators: Counts,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    values: Vec<f64>,
    returns: Vec<f64>,
    #[serde(default)]
    old_values: Option<Vec<f64>>,
    #[serde(default)]
    mask: Option<Mask>,
}

/// Answer of `value_loss`.
#[derive(Debug, Serialize)]
pub(crate) struct ValuesAnswer {
    loss: f64,
    dvalues: Vec<Vec<f64>>,
    clip_fraction: f64,
}

impl Values {
    pub(crate) fn run(self) -> Result<ValuesAnswer, CalcError> {
        let terms: Vec<ValueTerms<'_, f64>> = self.sequences.iter().map(Sequence::terms).collect();
        let counted = Denominators::of_lengths(terms.iter().map(ValueTerms::tokens));
        let e = self.loss.evaluate(&terms, &self.denominators.replace(counted)).map_err(CalcError::invalid)?;
        Ok(ValuesAnswer { loss: e.loss, dvalues: e.coefficients, clip_fraction: e.clip_fraction })
    }
}

impl Sequence {
    fn terms(&self) -> ValueTerms<'_, f64> {
        ValueTerms {
            values: &self.values,
            old_values: column(self.old_values.as_deref()),
            returns: &self.returns,
            mask: mask::slice(self.mask.as_ref()),
        }
    }
}

macro_rules! kinds {
    ($($kind:literal, $fields:literal, $formula:literal, $example:literal;)*) => {
        &[$(OpDoc { name: "fit", kind: $kind, fields: $fields, formula: $formula, example: concat!(r#"{"op":"fit","loss":{"kind":""#, $kind, r#"""#, $example, "}") },)*
        OpDoc {
            name: "value_loss",
            kind: "",
            fields: "loss {aggregation, clip = null, coefficient = 0.5}, sequences [{values, returns, old_values, mask = all}], denominators",
            formula: "c · aggregate max((V − R)², (clip(V, V_old ± ε) − R)²)",
            example: r#"{"op":"value_loss","loss":{"clip":0.2,"aggregation":"token_mean"},"sequences":[{"values":[0.5,1.0],"old_values":[0.1,1.0],"returns":[1.0,0.0]}]}"#,
        }]
    };
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = kinds! {
    "bce", "outputs [N] logits, targets [N] in [0, 1], mask = all", "softplus(z) − tz", r#"},"outputs":[0.3,-1.0],"targets":[0.8,0.0]"#;
    "mse", "outputs [N], targets [N], mask = all", "(z − t)²", r#"},"outputs":[0.3],"targets":[0.8]"#;
    "mse_sigmoid", "outputs [N] logits, targets [N], mask = all", "(σ(z) − t)²", r#"},"outputs":[0.3],"targets":[0.8]"#;
    "focal", "gamma, alpha = null; outputs [N] logits, targets [N]", "−αt(1−p)^γ ln p − (1−α)(1−t)p^γ ln(1−p)", r#","gamma":2.0},"outputs":[0.3],"targets":[1]"#;
    "cross_entropy", "outputs [N][C] logits, targets [N] classes or [N][C] distributions, mask = all", "−Σ_c q_c ln softmax(z)_c", r#"},"outputs":[[0.3,0.1]],"targets":[1]"#;
    "pairwise", "outputs [N] scores, targets [N] 0 or 1, groups = one", "mean over right i, wrong j of softplus(s_j − s_i), mean over groups", r#"},"outputs":[0.3,0.1],"targets":[1,0]"#;
    "plackett_luce", "outputs [N][K] scores, best first", "Σ_k ln Σ_{j≥k} e^{s_j} − s_k", r#"},"outputs":[[0.3,0.1,-1.0]]"#;
    "ordinal", "cuts [K−1]; outputs [N] scores, targets [N] labels below K", "−ln(σ(c_k − s) − σ(c_{k−1} − s))", r#","cuts":[-1.0,1.0]},"outputs":[0.3],"targets":[2]"#;
    "info_nce", "temperature; outputs [N][K] scores, targets [N] index of the positive", "−ln softmax(s/τ)_positive", r#","temperature":0.1},"outputs":[[0.3,0.1]],"targets":[0]"#;
    "return_decomposition", "outputs [N][K] step rewards, targets [N] returns, lengths = K", "(R − (T/K) Σ r)²", r#"},"outputs":[[0.3,0.1]],"targets":[1.0]"#;
};
