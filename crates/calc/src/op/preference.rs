//! The op `preference`.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tdrm_algo::preference::{
    BradleyTerry, Example, Kto, KtoLoss, Pair, PreferenceLoss, PreferenceObjective, Response, RewardPair, TokenPair,
    Weighting,
};
use tdrm_core::Probability;

use crate::{CalcError, OpDoc};

/// Its fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    loss: Loss,
    pairs: Vec<Sides>,
    #[serde(default)]
    tail_weight: Option<Probability>,
    #[serde(default)]
    weighting: Weighting,
    #[serde(default)]
    kl: Option<f64>,
    #[serde(default)]
    kl_logp: Vec<f64>,
    #[serde(default)]
    ref_kl_logp: Vec<f64>,
}

/// A pair; `kto` takes pairs of which one side is absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sides {
    chosen: Option<Numbers>,
    rejected: Option<Numbers>,
    ref_chosen: Option<Numbers>,
    ref_rejected: Option<Numbers>,
    collision_chosen: Vec<f64>,
    collision_rejected: Vec<f64>,
    chosen_length: Option<f64>,
    rejected_length: Option<f64>,
    margin: f64,
}

/// A sum, or one number per token.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(untagged, expecting = "a number, or a list of one number per token")]
enum Numbers {
    Sum(f64),
    Tokens(Vec<f64>),
}

#[derive(Debug)]
enum Loss {
    Pairwise(PreferenceLoss),
    Single(Kto),
    Scores(BradleyTerry),
}

impl<'de> Deserialize<'de> for Loss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let read = match kind.as_str() {
            "kto" => Kto::deserialize(untag(&mut value)).map(Self::Single),
            "apo_zero_unpaired" => {
                Kto::deserialize(untag(&mut value)).map(|kto| Self::Single(Kto { loss: KtoLoss::ApoZero, ..kto }))
            }
            "bradley_terry" => BradleyTerry::deserialize(untag(&mut value)).map(Self::Scores),
            _ => PreferenceLoss::deserialize(&value).map(Self::Pairwise),
        };
        read.map_err(D::Error::custom)
    }
}

fn untag(value: &mut Value) -> &Value {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("kind");
    }
    value
}

/// Its answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    loss: f64,
    dchosen: Vec<Numbers>,
    drejected: Vec<Numbers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kl: Option<f64>,
}

impl Request {
    pub(crate) fn run(self) -> Result<Answer, CalcError> {
        match &self.loss {
            Loss::Pairwise(loss) if self.pairs.iter().all(Sides::by_token) => self.by_token(*loss),
            Loss::Pairwise(loss) => self.by_response(*loss),
            Loss::Single(kto) => self.single(*kto),
            Loss::Scores(loss) => self.scores(*loss),
        }
    }

    fn by_token(&self, loss: PreferenceLoss) -> Result<Answer, CalcError> {
        let objective = PreferenceObjective { loss, tail_weight: self.tail_weight, weighting: self.weighting };
        let pairs: Vec<TokenPair<'_, f64>> = self.pairs.iter().map(Sides::tokens).collect();
        let e = objective.evaluate(&pairs).map_err(CalcError::invalid)?;
        let lists = |d: Vec<Vec<f64>>| d.into_iter().map(Numbers::Tokens).collect();
        Ok(Answer { loss: e.loss, dchosen: lists(e.chosen), drejected: lists(e.rejected), kl: None })
    }

    fn by_response(&self, loss: PreferenceLoss) -> Result<Answer, CalcError> {
        if self.tail_weight.is_some() || self.weighting != Weighting::Equal {
            return Err(CalcError::invalid("`tail_weight` and `weighting` need one number per token on both sides"));
        }
        let pairs = self.pairs.iter().map(Sides::pair).collect::<Result<Vec<_>, _>>()?;
        let e = loss.evaluate(&pairs);
        Ok(self.answer(e.loss, &e.chosen, &e.rejected))
    }

    /// Chosen responses are the desirable examples, rejected ones the undesirable.
    fn single(&self, kto: Kto) -> Result<Answer, CalcError> {
        super::kl::same_length("ref_kl_logp", self.kl_logp.len(), self.ref_kl_logp.len())?;
        let mismatched = self.kl_logp.iter().zip(&self.ref_kl_logp).map(|(p, q)| p - q);
        let point = self.kl.unwrap_or_else(|| Kto::reference_point(mismatched));
        let examples: Vec<Example<f64>> = self.pairs.iter().flat_map(Sides::examples).collect();
        let (loss, derivatives) = kto.evaluate(&examples, point);
        let mut derivatives = derivatives.into_iter();
        let mut spread = |side: Option<&Numbers>| {
            side.map_or(Numbers::Tokens(Vec::new()), |s| s.fill(derivatives.next().unwrap_or_default()))
        };
        let (dchosen, drejected) =
            self.pairs.iter().map(|p| (spread(p.chosen.as_ref()), spread(p.rejected.as_ref()))).unzip();
        Ok(Answer { loss, dchosen, drejected, kl: Some(point) })
    }

    fn scores(&self, loss: BradleyTerry) -> Result<Answer, CalcError> {
        let pairs = self.pairs.iter().map(Sides::rewards).collect::<Result<Vec<_>, _>>()?;
        let e = loss.evaluate(&pairs);
        Ok(self.answer(e.loss, &e.chosen, &e.rejected))
    }

    fn answer(&self, loss: f64, chosen: &[f64], rejected: &[f64]) -> Answer {
        let shaped = |side: fn(&Sides) -> Option<&Numbers>, d: &[f64]| {
            self.pairs.iter().zip(d).map(|(p, &d)| side(p).map_or(Numbers::Sum(d), |s| s.fill(d))).collect()
        };
        Answer {
            loss,
            dchosen: shaped(|p| p.chosen.as_ref(), chosen),
            drejected: shaped(|p| p.rejected.as_ref(), rejected),
            kl: None,
        }
    }
}

impl Numbers {
    fn slice(&self) -> &[f64] {
        match self {
            Self::Sum(x) => std::slice::from_ref(x),
            Self::Tokens(tokens) => tokens,
        }
    }

    fn sum(&self) -> f64 {
        self.slice().iter().sum()
    }

    /// The same shape, filled with a derivative.
    fn fill(&self, d: f64) -> Self {
        match self {
            Self::Sum(_) => Self::Sum(d),
            Self::Tokens(tokens) => Self::Tokens(vec![d; tokens.len()]),
        }
    }
}

fn slice(numbers: Option<&Numbers>) -> &[f64] {
    numbers.map_or(&[], Numbers::slice)
}

fn response(logp: &Numbers, reference: Option<&Numbers>, length: Option<f64>) -> Response<f64> {
    let length = length.unwrap_or(logp.slice().len() as f64);
    Response { logp: logp.sum(), ref_logp: reference.map_or(0.0, Numbers::sum), length }
}

impl Sides {
    fn by_token(&self) -> bool {
        let list = |side: &Option<Numbers>| matches!(side, Some(Numbers::Tokens(_)));
        list(&self.chosen) && list(&self.rejected) && self.chosen_length.is_none() && self.rejected_length.is_none()
    }

    fn tokens(&self) -> TokenPair<'_, f64> {
        TokenPair {
            collision_chosen: &self.collision_chosen,
            collision_rejected: &self.collision_rejected,
            ..TokenPair::new(
                slice(self.chosen.as_ref()),
                slice(self.rejected.as_ref()),
                slice(self.ref_chosen.as_ref()),
                slice(self.ref_rejected.as_ref()),
            )
        }
    }

    fn both(&self) -> Result<(&Numbers, &Numbers), CalcError> {
        let chosen = self.chosen.as_ref().ok_or_else(|| CalcError::missing("chosen", "a pairwise loss"))?;
        let rejected = self.rejected.as_ref().ok_or_else(|| CalcError::missing("rejected", "a pairwise loss"))?;
        Ok((chosen, rejected))
    }

    fn pair(&self) -> Result<Pair<f64>, CalcError> {
        let (chosen, rejected) = self.both()?;
        Ok(Pair {
            chosen: response(chosen, self.ref_chosen.as_ref(), self.chosen_length),
            rejected: response(rejected, self.ref_rejected.as_ref(), self.rejected_length),
            weight: 1.0,
        })
    }

    fn rewards(&self) -> Result<RewardPair<f64>, CalcError> {
        let (chosen, rejected) = self.both()?;
        Ok(RewardPair { chosen: chosen.sum(), rejected: rejected.sum(), margin: self.margin })
    }

    fn examples(&self) -> impl Iterator<Item = Example<f64>> {
        let example = |side: Option<&Numbers>, reference: Option<&Numbers>, desirable| {
            side.map(|logp| Example { response: response(logp, reference, None), desirable })
        };
        let desirable = example(self.chosen.as_ref(), self.ref_chosen.as_ref(), true);
        let undesirable = example(self.rejected.as_ref(), self.ref_rejected.as_ref(), false);
        desirable.into_iter().chain(undesirable)
    }
}

macro_rules! kinds {
    ($($kind:literal, $fields:literal, $formula:literal, $example:literal;)*) => {
        &[$(OpDoc {
            name: "preference",
            kind: $kind,
            fields: $fields,
            formula: $formula,
            example: concat!(
                r#"{"op":"preference","loss":{"kind":""#, $kind, r#"""#, $example,
                r#"},"pairs":[{"chosen":[-0.5,-1.0],"rejected":[-2.0],"ref_chosen":[-0.7,-0.9],"ref_rejected":[-1.5]}]}"#
            ),
        },)*]
    };
}

/// Its lines of the list.
pub(crate) const OPS: &[OpDoc] = kinds! {
    "dpo", "beta, label_smoothing = 0, divergence = reverse_kl, length_normalised = false; tail_weight = null, weighting = equal | wpo", "−ln σ(βh), h = s_w − s_l, s = log π/π_ref", r#","beta":0.1"#;
    "cdpo", "beta, label_smoothing, divergence = reverse_kl", "−(1−ε) ln σ(βh) − ε ln σ(−βh)", r#","beta":0.1,"label_smoothing":0.1"#;
    "robust", "beta, label_smoothing, divergence = reverse_kl", "(−(1−ε) ln σ(βh) + ε ln σ(−βh)) / (1 − 2ε)", r#","beta":0.1,"label_smoothing":0.1"#;
    "ipo", "beta, length_normalised = false, divergence = reverse_kl", "(h − 1/(2β))²", r#","beta":0.1,"length_normalised":true"#;
    "hinge", "beta, divergence = reverse_kl", "max(0, 1 − βh)", r#","beta":0.1"#;
    "exo", "beta, label_smoothing, divergence = reverse_kl", "KL(σ(±βh) ‖ (1−ε, ε))", r#","beta":0.1,"label_smoothing":0.1"#;
    "nca", "beta", "−ln σ(βx_w) − ½ ln σ(−βx_w) − ½ ln σ(−βx_l)", r#","beta":0.1"#;
    "bco", "beta", "−ln σ(βx_w) − ln σ(−βx_l)", r#","beta":0.1"#;
    "sppo", "beta", "(x_w − 1/(2β))² + (x_l + 1/(2β))²", r#","beta":0.1"#;
    "apo_zero", "beta", "1 − σ(βx_w) + σ(βx_l)", r#","beta":0.1"#;
    "apo_down", "beta", "σ(βx_w) + 1 − σ(β(x_w − x_l))", r#","beta":0.1"#;
    "discopop", "beta, tau, divergence = reverse_kl", "−(1−m) ln σ(βh) + m e^{−βh}, m = σ(βh/τ)", r#","beta":0.1,"tau":0.05"#;
    "aot", "beta, label_smoothing = 0", "cdpo on sorted log π_w/π_l against the sorted reference", r#","beta":0.1"#;
    "aot_unpaired", "beta, label_smoothing = 0", "cdpo on sorted x_w against sorted x_l", r#","beta":0.1"#;
    "simpo", "beta, gamma = 0", "−ln σ(β(l_w − l_l) − γ), l = log π/|y|", r#","beta":2.0,"gamma":0.5"#;
    "orpo", "beta", "−l_w − β ln σ(ln odds_w − ln odds_l)", r#","beta":0.1"#;
    "sft", "", "−Σ log π_w / Σ |y_w|", "";
    "kto", "beta, desirable_weight = 1, undesirable_weight = 1; kl, or kl_logp and ref_kl_logp; one side of a pair may be absent", "λ_D(1 − σ(β(x − z₀))), λ_U(1 − σ(β(z₀ − x))), mean over the examples", r#","beta":0.1"#;
    "apo_zero_unpaired", "as kto, without z₀", "λ_D(1 − σ(βx)), λ_U σ(βx)", r#","beta":0.1"#;
    "bradley_terry", "centering = 0; chosen and rejected are scores; margin = 0 per pair", "−ln σ(r_w − r_l − m) + c(r_w + r_l)²", "";
};
