//! The same model composed of dfdx's own differentiable operations, for devices that the fused kernels do not know.
//!
//! Written once, generic over dfdx's device: on the CPU it is the slow twin that the tests hold the fused model against, with
//! the feature `cuda` it runs on dfdx's CUDA kernels in f32. Sequences are padded on the right here and nowhere else; with
//! causal attention no position sees the padding, so a causal mask is the only mask. Parameters live on the host and are
//! copied to the device for each batch, the gradients back: right for the small models that this crate is for.
//!
//! Trap: an operation lives on the tape of *one* of its operands' tensors. A tensor that is used twice is used first as
//! `retaped` copies, with empty tapes, and at last as itself; dropping it loses every operation before it, silently.

use std::collections::BTreeMap;

use dfdx::prelude::*;
use dfdx::tensor::{HasErr, TensorFromVec};

use crate::layout::Entry;
use crate::{Lm, LmError};
use tdrm_kernels::batch::Packed;

/// What the model asks of a dfdx device.
pub(crate) trait Backend: Device<f32> + TensorFromVec<f32> + TensorFromVec<usize> + Storage<usize> {}
impl<D: Device<f32> + TensorFromVec<f32> + TensorFromVec<usize> + Storage<usize>> Backend for D {}

type T1<D, T = NoneTape> = Tensor<(usize,), f32, D, T>;
type T2<D, T = NoneTape> = Tensor<(usize, usize), f32, D, T>;
type T4<D, T = NoneTape> = Tensor<(usize, usize, usize, usize), f32, D, T>;
type Owned<D> = OwnedTape<f32, D>;
type Shape4 = (usize, usize, usize, usize);

/// Asks the caller for the coefficients of the outputs.
pub(crate) type Ask<'a> = &'a mut dyn FnMut(&[f32]) -> Result<Vec<f32>, LmError>;

/// A parameter on the device.
enum Parameter<D: Backend> {
    Vector(T1<D>),
    Matrix(T2<D>),
}

/// Rows of a batch, `[B, T]`, padded on the right.
struct Padded {
    sequences: usize,
    length: usize,
    tokens: Vec<usize>,
    /// Where the picked rows are, `[P]`.
    picks: Vec<usize>,
}

impl Padded {
    fn new(packed: &Packed) -> Self {
        let (sequences, length) = (packed.rows.sequences(), packed.rows.longest());
        let mut tokens = vec![0; sequences * length];
        let mut place = vec![0; packed.tokens.len()];
        for i in 0..sequences {
            for (position, row) in packed.rows.range(i).enumerate() {
                place[row] = i * length + position;
                tokens[place[row]] = packed.tokens[row] as usize;
            }
        }
        Self { sequences, length, tokens, picks: packed.picks.iter().map(|&row| place[row]).collect() }
    }
}

/// The model and the constants of one batch on a device.
struct Model<'a, D: Backend> {
    lm: &'a Lm,
    device: D,
    parameters: BTreeMap<&'a str, (&'a Entry, Parameter<D>)>,
    batch: Padded,
    /// 0 where a key may be seen, very negative elsewhere, `[T, T]`.
    mask: T2<D>,
    /// `x R` is x with its halves swapped and the new first half negated, `[D, D]`.
    half_turn: T2<D>,
}

impl<'a, D: Backend> Model<'a, D> {
    fn new(lm: &'a Lm, packed: &Packed, device: &D) -> Self {
        let batch = Padded::new(packed);
        let upload = |(name, entry): (&'a String, &'a Entry)| {
            let data = lm.theta()[entry.range.clone()].to_vec();
            let parameter = match entry.shape[..] {
                [rows, columns] => Parameter::Matrix(device.tensor_from_vec(data, (rows, columns))),
                _ => Parameter::Vector(device.tensor_from_vec(data, (entry.range.len(),))),
            };
            (name.as_str(), (entry, parameter))
        };
        let parameters = lm.layout().entries.iter().map(upload).collect();
        let (t, d) = (batch.length, lm.config().head_dim);
        let mask = (0..t * t).map(|i| if i % t > i / t { -1e9 } else { 0.0 }).collect();
        let turn = |i: usize| match (i / d, i % d) {
            (row, column) if row == column + d / 2 => -1.0,
            (row, column) if column == row + d / 2 => 1.0,
            _ => 0.0,
        };
        Self {
            lm,
            device: device.clone(),
            parameters,
            mask: device.tensor_from_vec(mask, (t, t)),
            half_turn: device.tensor_from_vec((0..d * d).map(turn).collect(), (d, d)),
            batch,
        }
    }

    /// A matrix, with an empty tape of its own.
    fn matrix(&self, name: &str) -> T2<D, Owned<D>> {
        match &self.parameters[name].1 {
            Parameter::Matrix(matrix) => matrix.retaped(),
            Parameter::Vector(vector) => vector.retaped().reshape_like(&(1, vector.shape().0)),
        }
    }

    /// A vector as equal rows, `[rows, width]`.
    fn vector(&self, name: &str, shape: (usize, usize)) -> T2<D, Owned<D>> {
        match &self.parameters[name].1 {
            Parameter::Vector(vector) => vector.retaped::<Owned<D>>().broadcast_like::<_, Axis<0>>(&shape),
            Parameter::Matrix(matrix) => matrix.retaped(),
        }
    }

    /// `x Wᵀ`, and the bias if there is one.
    fn linear(&self, x: T2<D, Owned<D>>, name: &str) -> T2<D, Owned<D>> {
        let y = x.matmul(self.matrix(&format!("{name}.weight")).permute::<(usize, usize), Axes2<1, 0>>());
        let (bias, shape) = (format!("{name}.bias"), *y.shape());
        if self.parameters.contains_key(bias.as_str()) { y + self.vector(&bias, shape) } else { y }
    }

    fn norm(&self, x: T2<D, Owned<D>>, name: &str) -> T2<D, Owned<D>> {
        let (shape, epsilon) = (*x.shape(), self.lm.config().rms_norm_eps as f32);
        let mean = x.retaped::<Owned<D>>().square().mean::<(usize,), Axis<1>>();
        let scale = (mean + epsilon).sqrt().recip().broadcast_like::<_, Axis<1>>(&shape);
        x * scale * self.vector(&format!("{name}.weight"), shape)
    }

    /// Rotates rows of heads `[B·T, heads·D]` by their positions; `[B, heads, T, D]`.
    fn rope(&self, x: T2<D, Owned<D>>, heads: usize) -> T4<D, Owned<D>> {
        let (d, rows) = (self.lm.config().head_dim, self.batch.tokens.len() * heads);
        let (cos, sin): (Vec<f32>, Vec<f32>) =
            (0..rows * d).map(|i| self.lm.rope().angle(i / d / heads % self.batch.length, i % d % (d / 2))).unzip();
        let x = x.reshape_like(&(rows, d));
        let turned = x.retaped::<Owned<D>>().matmul(self.half_turn.clone());
        let [cos, sin] = [cos, sin].map(|table| self.device.tensor_from_vec(table, (rows, d)));
        self.heads(x * cos + turned * sin, heads)
    }

    /// `[B·T, heads·D]` or `[B·T·heads, D]` to `[B, heads, T, D]`.
    fn heads(&self, x: T2<D, Owned<D>>, heads: usize) -> T4<D, Owned<D>> {
        let shape = (self.batch.sequences, self.batch.length, heads, self.lm.config().head_dim);
        x.reshape_like::<Shape4>(&shape).permute::<Shape4, Axes4<0, 2, 1, 3>>()
    }

    /// Repeats each key-value head for its group of queries, `[B, K, T, D]` to `[B, H, T, D]`.
    fn repeat(&self, x: T4<D, Owned<D>>) -> T4<D, Owned<D>> {
        let (b, k, t, d) = *x.shape();
        let h = self.lm.config().num_attention_heads;
        let wide = (b, k, h / k, t, d);
        x.broadcast_like::<(usize, usize, usize, usize, usize), Axis<2>>(&wide).reshape_like(&(b, h, t, d))
    }

    fn attention(&self, x: T2<D, Owned<D>>, name: &str) -> T2<D, Owned<D>> {
        let config = self.lm.config();
        let (h, k) = (config.num_attention_heads, config.num_key_value_heads);
        let project = |x: T2<D, Owned<D>>, part: &str| self.linear(x, &format!("{name}.{part}_proj"));
        let q = self.rope(project(x.retaped(), "q"), h);
        let keys = self.repeat(self.rope(project(x.retaped(), "k"), k));
        let values = self.repeat(self.heads(project(x, "v"), k));
        let scores = q.matmul(keys.permute::<Shape4, Axes4<0, 1, 3, 2>>()) * (1.0 / (config.head_dim as f32).sqrt());
        let shape = *scores.shape();
        let mask = self.mask.clone().broadcast_like::<Shape4, Axes2<0, 1>>(&shape);
        let attended = (scores + mask).softmax::<Axis<3>>().matmul(values);
        let rows = (self.batch.tokens.len(), h * config.head_dim);
        let attended = attended.permute::<Shape4, Axes4<0, 2, 1, 3>>().reshape_like(&rows);
        self.linear(attended, &format!("{name}.o_proj"))
    }

    fn feed_forward(&self, x: T2<D, Owned<D>>, name: &str) -> T2<D, Owned<D>> {
        let gate = self.linear(x.retaped(), &format!("{name}.gate_proj"));
        let up = self.linear(x, &format!("{name}.up_proj"));
        let open = gate.retaped::<Owned<D>>().sigmoid();
        self.linear(gate * open * up, &format!("{name}.down_proj"))
    }

    /// Normalised states of the picked rows, `[P, d]`.
    fn states(&self) -> T2<D, Owned<D>> {
        let indices = |places: &[usize]| self.device.tensor_from_vec(places.to_vec(), (places.len(),));
        let mut x: T2<D, Owned<D>> = self.matrix("model.embed_tokens.weight").gather(indices(&self.batch.tokens));
        for i in 0..self.lm.config().num_hidden_layers {
            let of = |part: &str| format!("model.layers.{i}.{part}");
            let normed = self.norm(x.retaped(), &of("input_layernorm"));
            x = self.attention(normed, &of("self_attn")) + x;
            let normed = self.norm(x.retaped(), &of("post_attention_layernorm"));
            x = self.feed_forward(normed, &of("mlp")) + x;
        }
        self.norm(x.gather(indices(&self.batch.picks)), "model.norm")
    }

    /// Adds the parameters' gradients to the flat gradient on the host.
    fn download(&self, gradients: &mut Gradients<f32, D>, gradient: &mut [f32]) -> Result<(), LmError> {
        for (entry, parameter) in self.parameters.values() {
            let term = match parameter {
                Parameter::Vector(vector) => {
                    gradients.try_alloc_for(vector).map_err(|error| failed::<D>(&error))?;
                    gradients.get(vector).as_vec()
                }
                Parameter::Matrix(matrix) => {
                    gradients.try_alloc_for(matrix).map_err(|error| failed::<D>(&error))?;
                    gradients.get(matrix).as_vec()
                }
            };
            gradient[entry.range.clone()].iter_mut().zip(term).for_each(|(g, t)| *g += t);
        }
        Ok(())
    }

    fn coefficients(&self, c: &[f32]) -> T1<D> {
        self.device.tensor_from_vec(c.to_vec(), (c.len(),))
    }
}

fn failed<D: HasErr>(error: &D::Err) -> LmError {
    LmError::Tape(format!("{error:?}"))
}

/// Policy pass: outputs are `[log π (P) | entropy (P)]`; adds ∂(c·outputs)/∂parameters to `gradient`.
pub(crate) fn policy<D: Backend>(
    lm: &Lm,
    packed: &Packed,
    temperature: f32,
    device: &D,
    ask: Ask<'_>,
    gradient: &mut [f32],
) -> Result<(), LmError> {
    let model = Model::new(lm, packed, device);
    let output = if lm.config().tie_word_embeddings { "model.embed_tokens" } else { "lm_head" };
    let log_p = (model.linear(model.states(), output) * temperature.recip()).log_softmax::<Axis<1>>();
    let p = log_p.retaped::<Owned<D>>().exp();
    let entropy = (p * log_p.retaped::<Owned<D>>()).sum::<(usize,), Axis<1>>().negate();
    let targets: Vec<usize> = packed.targets.iter().map(|&target| target as usize).collect();
    let n = targets.len();
    let chosen = log_p.select(device.tensor_from_vec(targets, (n,)));
    let c = ask(&[chosen.as_vec(), entropy.as_vec()].concat())?;
    let loss = (chosen * model.coefficients(&c[..n])).sum::<Rank0, _>();
    let loss = (entropy * model.coefficients(&c[n..])).sum::<Rank0, _>() + loss;
    let mut gradients = loss.try_backward().map_err(|error| failed::<D>(&error))?;
    model.download(&mut gradients, gradient)
}

/// Value pass: outputs are the scalar head's, `[P]`; adds ∂(c·outputs)/∂parameters to `gradient`.
pub(crate) fn value<D: Backend>(
    lm: &Lm,
    packed: &Packed,
    device: &D,
    ask: Ask<'_>,
    gradient: &mut [f32],
) -> Result<(), LmError> {
    let model = Model::new(lm, packed, device);
    let z = model.linear(model.states(), "score").sum::<(usize,), Axis<1>>();
    let c = ask(&z.as_vec())?;
    let loss = (z * model.coefficients(&c)).sum::<Rank0, _>();
    let mut gradients = loss.try_backward().map_err(|error| failed::<D>(&error))?;
    model.download(&mut gradients, gradient)
}
