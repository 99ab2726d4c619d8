//! One forward pass that is to be differentiated, and its backward pass.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use tdrm_kernels::batch::Packed;

use crate::LmError;
use crate::model::{CHUNK, Pass, Via, pick, target_scores};
use crate::ops::{Engine, Packing, Tape, with_slice};

/// What the body keeps for its backward pass.
enum Kept {
    /// In the fused form: the tape of all layers, from the embedded rows.
    Tape { tape: Arc<Tape>, input: Tensor, output: Tensor },
    /// In the composed form: the graph of all layers, from a variable with the embedded rows.
    Graph { input: Var, output: Tensor },
    /// The input of each layer.
    Inputs(Vec<Tensor>),
}

/// A forward pass through the body.
pub(super) struct Run {
    pub(super) pass: Pass,
    packing: Packing,
    kept: Kept,
    /// The body's output, without its graph, `[N, d]`.
    pub(super) hidden: Tensor,
}

impl Run {
    pub(super) fn new(pass: Pass, packed: &Packed, checkpointing: bool) -> Result<Self, LmError> {
        let packing = pass.model.packing(packed)?;
        let embedded = pass.model.embed(&pass.model.frozen(), &packed.tokens)?;
        if !checkpointing && pass.model.engine() == Engine::Fused {
            let tape = Arc::default();
            let output = pass.with_tape(&tape).body(embedded.clone(), &mut Via::Packed(&packing))?;
            let kept = Kept::Tape { tape, input: embedded, output: output.clone() };
            return Ok(Self { pass, packing, kept, hidden: output });
        }
        if !checkpointing {
            let input = Var::from_tensor(&embedded)?;
            let output = pass.body(input.as_tensor().clone(), &mut Via::Packed(&packing))?;
            let hidden = output.detach();
            return Ok(Self { pass, packing, kept: Kept::Graph { input, output }, hidden });
        }
        // Without variables there is no graph: only what is kept here stays in memory.
        let forward = pass.detached();
        let (mut inputs, mut x) = (Vec::new(), embedded);
        for i in 0..pass.model.config().layers() {
            inputs.push(x.clone());
            x = forward.layer(i, &x, &mut Via::Packed(&packing))?;
        }
        Ok(Self { pass, packing, kept: Kept::Inputs(inputs), hidden: x })
    }

    /// Gradients of tracked parameters, where candle found any.
    pub(super) fn tracked(&self, gradients: &GradStore) -> Vec<(usize, Tensor)> {
        let found = |(id, weight): (usize, &crate::ops::Weight)| gradients.get(&weight.tensor).map(|g| (id, g.clone()));
        self.pass.weights.iter().enumerate().filter_map(found).collect()
    }

    /// Back-propagates ∂L/∂log π and ∂L/∂H through the language-model head: ∂L/∂hidden, `[N, d]`.
    pub(super) fn head_backward(
        &self,
        packed: &Packed,
        temperature: f32,
        (d_log_prob, d_entropy): &(Vec<f32>, Vec<f32>),
        found: &mut Vec<(usize, Tensor)>,
    ) -> Result<Tensor, LmError> {
        let (layout, weights) = (self.pass.model.layout(), &self.pass.weights);
        if self.pass.model.engine() == Engine::Fused {
            let (norm, head) = (weights[layout.norm].sink.as_ref(), weights[self.pass.model.lm_head()?].sink.as_ref());
            let dx = self.pass.with_head(temperature, |lm_head| {
                with_slice(&self.hidden, |x| {
                    let derivatives = (d_log_prob.as_slice(), d_entropy.as_slice());
                    let dx = lm_head.backward(x, &packed.picks, &packed.targets, derivatives, norm, head);
                    dx.map_err(candle_core::Error::wrap)
                })
            })?;
            return Ok(Tensor::from_vec(dx, self.hidden.shape(), self.hidden.device())?);
        }
        let mut total = self.hidden.zeros_like()?;
        let derivatives = d_log_prob.chunks(CHUNK).zip(d_entropy.chunks(CHUNK));
        for ((at, targets), (c, h)) in packed.picks.chunks(CHUNK).zip(packed.targets.chunks(CHUNK)).zip(derivatives) {
            let leaf = Var::from_tensor(&pick(&self.hidden, at)?)?;
            let (log_prob, entropy) = target_scores(&self.pass, leaf.as_tensor(), targets, temperature)?;
            let coefficients = |c: &[f32]| Tensor::from_slice(c, c.len(), log_prob.device());
            let sum = ((&log_prob * coefficients(c)?)? + (&entropy * coefficients(h)?)?)?;
            let gradients = sum.sum_all()?.backward()?;
            found.extend(self.tracked(&gradients));
            if let Some(rows) = gradients.get(leaf.as_tensor()) {
                let index: Vec<u32> = at.iter().map(|&row| row as u32).collect();
                total = total.index_add(&Tensor::from_vec(index, at.len(), total.device())?, rows, 0)?;
            }
        }
        Ok(total)
    }

    /// Back-propagates ∂L/∂hidden through the layers and the embedding.
    pub(super) fn body_backward(
        &self,
        packed: &Packed,
        d_hidden: &Tensor,
        found: &mut Vec<(usize, Tensor)>,
    ) -> Result<(), LmError> {
        let d_embedded = match &self.kept {
            Kept::Tape { tape, input, output } => tape.backward(input, output, d_hidden.clone())?,
            Kept::Graph { input, output } => {
                let gradients = (output * d_hidden)?.sum_all()?.backward()?;
                found.extend(self.tracked(&gradients));
                gradients.get(input.as_tensor()).cloned()
            }
            Kept::Inputs(inputs) => {
                let mut stream = d_hidden.clone();
                for (i, input) in inputs.iter().enumerate().rev() {
                    if self.pass.model.engine() == Engine::Fused {
                        let (tape, via) = (Arc::default(), &mut Via::Packed(&self.packing));
                        let output = self.pass.with_tape(&tape).layer(i, input, via)?;
                        let gradient = tape.backward(input, &output, stream.clone())?;
                        stream = gradient.map_or_else(|| stream.zeros_like(), Ok)?;
                        continue;
                    }
                    let input = Var::from_tensor(input)?;
                    let output = self.pass.layer(i, input.as_tensor(), &mut Via::Packed(&self.packing))?;
                    let gradients = (output * &stream)?.sum_all()?.backward()?;
                    found.extend(self.tracked(&gradients));
                    stream = gradients.get(input.as_tensor()).map_or_else(|| stream.zeros_like(), |g| Ok(g.clone()))?;
                }
                Some(stream)
            }
        };
        let Some(rows) = d_embedded else { return Ok(()) };
        let embed = self.pass.model.layout().embed;
        let weight = &self.pass.weights[embed];
        let rows = without_padding(rows, &packed.tokens, self.pass.model.config().pad_token_id)?;
        if let Some(sink) = &weight.sink {
            let mut gradient = sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            gradient.resize(weight.tensor.elem_count(), 0.0);
            let d = weight.tensor.dim(1)?;
            with_slice(&rows, |rows| {
                for (token, row) in packed.tokens.iter().zip(rows.chunks_exact(d)) {
                    let at = *token as usize * d;
                    gradient[at..at + d].iter_mut().zip(row).for_each(|(g, x)| *g += x);
                }
                Ok(())
            })?;
        } else if weight.tensor.is_variable() {
            let index = Tensor::from_slice(&packed.tokens, packed.tokens.len(), rows.device())?;
            found.push((embed, weight.tensor.zeros_like()?.index_add(&index, &rows, 0)?));
        }
        Ok(())
    }
}

/// Takes away what the padding token's embedding would learn, as transformers does (`padding_idx` of its embedding).
fn without_padding(rows: Tensor, tokens: &[u32], padding: Option<u32>) -> Result<Tensor, LmError> {
    let Some(padding) = padding.filter(|padding| tokens.contains(padding)) else { return Ok(rows) };
    let keep = tokens.iter().map(|token| f32::from(u8::from(*token != padding))).collect();
    let keep = Tensor::from_vec(keep, (tokens.len(), 1), rows.device())?.to_dtype(rows.dtype())?;
    Ok(rows.broadcast_mul(&keep)?)
}
