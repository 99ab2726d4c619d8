//! Operations that are one kernel on an Nvidia GPU, where nothing is tracked.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{D, Device, Result, Tensor};
use tdrm_kernels::ShapeError;
use tdrm_kernels::adamw::AdamW;
use tdrm_kernels::attention::Heads;
use tdrm_kernels::cuda::{self, Attention, Launch, Seen};
use tdrm_kernels::rope::RopeTable;

pub(crate) use super::launch::open_gpu;
use super::launch::{emulates, fresh, in_place};
use super::storage::kernel;

/// Whether the kernels run on a device.
pub(crate) fn is_gpu(device: &Device) -> bool {
    device.is_cuda() || emulates()
}

/// Whether the kernels run on these tensors: on a GPU, and no derivative is asked for.
pub(crate) fn runs(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| is_gpu(tensor.device()) && !tensor.track_op())
}

fn checked(launch: std::result::Result<Launch, ShapeError>) -> Result<Launch> {
    launch.map_err(kernel)
}

/// Rows of the last dimension, and their width.
fn rows(x: &Tensor) -> Result<(usize, usize)> {
    let width = x.dim(D::Minus1)?;
    Ok((x.elem_count() / width.max(1), width))
}

pub(super) fn rms_norm(x: &Tensor, w: &Tensor, epsilon: f64) -> Result<Tensor> {
    let (n, width) = rows(x)?;
    fresh(&checked(cuda::rms_norm(n, width, epsilon as f32))?, x.dtype(), &[x, w], x.shape())
}

/// `x + y` and its norm.
pub(super) fn add_norm(x: &Tensor, y: &Tensor, w: &Tensor, epsilon: f64) -> Result<(Tensor, Tensor)> {
    let (n, width) = rows(x)?;
    let both = fresh(&checked(cuda::add_rms_norm(n, width, epsilon as f32))?, x.dtype(), &[x, y, w], (2, n, width))?;
    Ok((both.get(0)?.reshape(x.shape())?, both.get(1)?.reshape(x.shape())?))
}

pub(super) fn norm_heads(qkv: &Tensor, heads: &Heads, wq: &Tensor, wk: &Tensor, epsilon: f64) -> Result<Tensor> {
    let launch = checked(cuda::norm_heads(rows(qkv)?.0, heads, epsilon as f32))?;
    fresh(&launch, qkv.dtype(), &[qkv, wq, wk], qkv.shape())
}

/// `x + b` for each row.
pub(super) fn add_bias(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (n, width) = rows(x)?;
    fresh(&checked(cuda::add_bias(n, width))?, x.dtype(), &[x, b], x.shape())
}

pub(super) fn swiglu(gate_up: &Tensor) -> Result<Tensor> {
    let (n, width) = rows(gate_up)?;
    fresh(&checked(cuda::swiglu(n, width / 2))?, gate_up.dtype(), &[gate_up], (n, width / 2))
}

/// log π of targets and entropies, `[n, 2]`, in 32 bits.
pub(crate) fn score_rows(logits: &Tensor, targets: &[u32], temperature: f32) -> Result<Tensor> {
    let (n, vocabulary) = rows(logits)?;
    let targets = Tensor::from_slice(targets, targets.len(), logits.device())?;
    fresh(&checked(cuda::score_rows(n, vocabulary, temperature))?, logits.dtype(), &[logits, &targets], (n, 2))
}

/// One step of `AdamW` on a range: state `[3, len]`, gradient and parameter `[len]`.
pub(crate) fn adamw(
    state: &Tensor,
    gradient: &Tensor,
    parameter: &Tensor,
    range: &Range<usize>,
    constants: &AdamW,
) -> Result<()> {
    in_place(
        &checked(cuda::adamw(gradient.elem_count(), range, constants))?,
        parameter.dtype(),
        state,
        &[gradient, parameter],
    )
}

/// Sums whose sum is `Σ g²` over a range, in 64 bits.
pub(crate) fn squares(gradient: &Tensor, range: &Range<usize>) -> Result<Tensor> {
    let launch = checked(cuda::squares(gradient.elem_count(), range))?;
    fresh(&launch, gradient.dtype(), &[gradient], launch.grid()[0] as usize)
}

/// A table of rotations on a GPU.
#[derive(Debug, Clone)]
pub(crate) struct Angles {
    table: Arc<RopeTable>,
    /// Cosines, then sines, `[P, R/2]` each.
    tensor: Tensor,
}

impl Angles {
    pub(crate) fn new(table: &Arc<RopeTable>, device: &Device) -> Result<Self> {
        let (cos, sin) = table.tables();
        let tensor = Tensor::from_vec([cos, sin].concat(), 2 * cos.len(), device)?;
        Ok(Self { table: Arc::clone(table), tensor })
    }

    /// Whether they are those of this table.
    pub(crate) fn are_of(&self, table: &Arc<RopeTable>) -> bool {
        Arc::ptr_eq(&self.table, table)
    }
}

/// What rows of a pass see, on a GPU; the same for all layers.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    seen: Seen,
    /// `[2, n]`.
    index: Tensor,
    /// `[m, 2]`, where tiles pay.
    tiles: Option<Tensor>,
    angles: Angles,
}

impl Reach {
    /// Sends up what the kernels need to know of the rows, in one transfer.
    pub(crate) fn new(seen: Seen, angles: &Angles) -> Result<Self> {
        let (rows, tiles) = (seen.index(), seen.tiles().unwrap_or_default());
        let both = Tensor::from_vec([rows, tiles].concat(), rows.len() + tiles.len(), angles.tensor.device())?;
        let index = both.narrow(0, 0, rows.len())?;
        let tiles = seen.tiles().map(|tiles| both.narrow(0, rows.len(), tiles.len())).transpose()?;
        Ok(Self { seen, index, tiles, angles: angles.clone() })
    }

    fn attention(&self, heads: Heads, room: usize, window: Option<usize>) -> Result<Attention> {
        Attention::new(heads, &self.angles.table, &self.seen, room, window).map_err(kernel)
    }

    /// Rotates rows `[n, (H+2K)·D]`, writes their keys and values to a cache `[2, room, K·D]`, and attends: `[n, H·D]`.
    pub(crate) fn append_and_attend(
        &self,
        kv: &Tensor,
        qkv: &Tensor,
        heads: Heads,
        window: Option<usize>,
    ) -> Result<Tensor> {
        let attention = self.attention(heads, kv.dim(1)?, window)?;
        in_place(&checked(attention.append())?, kv.dtype(), kv, &[qkv, &self.angles.tensor, &self.index])?;
        self.attend(&attention, kv, qkv)
    }

    /// The same for all rows of packed sequences `[N, (H+2K)·D]`.
    pub(super) fn attend_packed(&self, qkv: &Tensor, heads: Heads, window: Option<usize>) -> Result<Tensor> {
        let n = qkv.dim(0)?;
        let attention = self.attention(heads, n, window)?;
        let shape = (2, n, heads.key_value_width());
        let kv = fresh(&checked(attention.append())?, qkv.dtype(), &[qkv, &self.angles.tensor, &self.index], shape)?;
        self.attend(&attention, &kv, qkv)
    }

    fn attend(&self, attention: &Attention, kv: &Tensor, qkv: &Tensor) -> Result<Tensor> {
        let inputs = [kv, qkv, &self.angles.tensor, &self.index];
        let (dtype, shape) = (qkv.dtype(), (qkv.dim(0)?, attention.output_width()));
        if let Some(tiles) = &self.tiles {
            let [kv, qkv, angles, index] = inputs;
            return fresh(&checked(attention.attend_tiles())?, dtype, &[kv, qkv, angles, index, tiles], shape);
        }
        match attention.parts() {
            1 => fresh(&checked(attention.attend_rows())?, dtype, &inputs, shape),
            parts => {
                let part = fresh(&checked(attention.attend_parts(parts))?, dtype, &inputs, attention.part_len(parts))?;
                fresh(&checked(attention.join_parts(parts))?, dtype, &[&part], shape)
            }
        }
    }
}

#[cfg(all(test, not(feature = "cuda")))]
#[expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]
mod tests {
    use std::process::Command;

    use serde_json::json;
    use tdrm_core::Seed;
    use tdrm_kernels::batch::{Sequence, ValueSequence};
    use tdrm_kernels::optimiser::Optimiser;

    use super::*;
    use crate::{
        Engine, Generation, Model, ModelConfig, Placement, PolicyCoefficients, Precision, Prompt, Scores, Session,
        Trainer,
    };

    fn model(family: &str) -> Model {
        let (heads, groups, dim) = if family == "glm4" { (7, 1, 64) } else { (4, 2, 8) };
        let file = json!({
            "architectures": ["XForCausalLM"], "model_type": family, "vocab_size": 50, "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": heads, "num_key_value_heads": groups,
            "head_dim": dim, "initializer_range": 0.2, "max_position_embeddings": 512, "sliding_window": 20,
        });
        Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(5)).unwrap()
    }

    fn tokens(seed: usize, len: usize) -> Vec<u32> {
        (0..len).map(|i| ((i * i * 3 + i * seed + seed) % 50) as u32).collect()
    }

    fn assert_near(what: &str, got: &[f64], wanted: &[f64], tolerance: f64) {
        assert_eq!(got.len(), wanted.len(), "{what}");
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let off = norm(&mut got.iter().zip(wanted).map(|(a, b)| a - b)) / norm(&mut wanted.iter().copied());
        assert!(off < tolerance, "{what}: {off}");
    }

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&x| f64::from(x)).collect()
    }

    fn batch() -> Vec<Sequence> {
        [(3, 40), (4, 2), (5, 17)].map(|(seed, len)| Sequence { tokens: tokens(seed, len), prompt_len: 1 }).to_vec()
    }

    /// One step on the mean log-probability; returns the norm of the gradient.
    fn step(trainer: &mut Trainer) -> f64 {
        let mut mean = |scores: &Scores| PolicyCoefficients {
            log_probs: scores.log_probs.iter().map(|row| vec![-1.0 / 56.0; row.len()]).collect(),
            entropies: Vec::new(),
        };
        trainer.accumulate_policy(&batch(), 1.0, &mut mean).unwrap();
        trainer.step().unwrap().gradient_norm
    }

    /// In a process of its own, where the processor stands in for a GPU.
    #[test]
    #[ignore = "started by models_on_an_emulated_gpu_are_what_they_were"]
    fn models_in_this_process() {
        assert!(is_gpu(&Device::Cpu));
        for (family, precision, tolerance) in [
            ("qwen3", Precision::F32, 1e-5),
            ("mistral", Precision::F32, 1e-5),
            ("qwen2", Precision::Bf16, 0.02),
            ("glm4", Precision::Bf16, 0.02),
        ] {
            let what = format!("{family} {precision:?}");
            let placement = Placement { precision, ..Placement::default() };
            let there = model(family).to(placement).unwrap().with_engine(Engine::Composed);
            let here = there.to(Placement::default()).unwrap().with_engine(Engine::Fused);
            assert!(there.attends_on_gpu());
            // In tiles, with their rest.
            let sequence = tokens(1, 70);
            let logits = |model: &Model| wide(&model.logits(&sequence).unwrap());
            assert_near(&what, &logits(&there), &logits(&here), tolerance);

            let scores = |model: &Model| model.scores(&batch(), 0.7).unwrap();
            let (a, b) = (scores(&there), scores(&here));
            assert_near(&what, &a.log_probs.concat(), &b.log_probs.concat(), tolerance);
            assert_near(&what, &a.entropies.concat(), &b.entropies.concat(), tolerance);

            // Row by row, in parts where a row is long, and after copies of slots.
            let continued = |model: &Model| {
                let mut session = Session::new(model, 3, 400).unwrap();
                let left = session.open(&tokens(2, 140)).unwrap();
                let right = session.fork(left).unwrap();
                let other = session.open(&tokens(2, 9)).unwrap();
                session.extend(&[(left, &[4]), (right, &[5, 6]), (other, &[7])]).unwrap();
                [left, right, other].map(|branch| wide(session.logits(branch).unwrap())).concat()
            };
            assert_near(&what, &continued(&there), &continued(&here), tolerance);

            let with_head = |model: &Model| model.to(placement).unwrap().with_value_head(Seed::root(3)).unwrap();
            let head = with_head(&there);
            let values =
                |model: &Model| model.values(&[ValueSequence::everywhere(&sequence)]).unwrap().concat().concat();
            let same = head.to(Placement::default()).unwrap().with_engine(Engine::Fused);
            assert_near(&what, &values(&head), &values(&same), 2.0 * tolerance);

            // Training: gradients by candle, with the layers' forward passes by the kernels where they run twice.
            let trainer = |model: &Model| Trainer::new(model.clone(), Optimiser::adamw(1e-2)).unwrap();
            let mut b = trainer(&here.snapshot().unwrap());
            let wanted = [step(&mut b), step(&mut b)];
            for checkpointing in [false, true] {
                let mut a = trainer(&there.snapshot().unwrap()).with_checkpointing(checkpointing);
                assert_near(&what, &[step(&mut a), step(&mut a)], &wanted, tolerance);
                let weights = |trainer: &Trainer| wide(&trainer.model().tensor("model.norm.weight").unwrap());
                assert_near(&what, &weights(&a), &weights(&b), tolerance);
            }
        }
        let there = model("llama").to(Placement { precision: Precision::Bf16, ..Placement::default() }).unwrap();
        let prompts = [Prompt::new(&tokens(1, 5), Seed::root(1)), Prompt::new(&tokens(2, 40), Seed::root(2))];
        for (prompt, completion) in prompts.iter().zip(there.generate(&prompts, &Generation::greedy(4)).unwrap()) {
            let whole = there.scores(&[Sequence::new(&prompt.tokens, &completion.tokens)], 1.0).unwrap();
            assert_near("generation", &completion.log_probs_full, &whole.log_probs.concat(), 0.05);
        }
    }

    #[test]
    fn models_on_an_emulated_gpu_are_what_they_were() {
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
        if Command::new(compiler).arg("--version").output().is_err() {
            eprintln!("NOT CHECKED: no C++ compiler, so no model ran on an emulated GPU");
            return;
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "--ignored", "ops::cuda::tests::models_in_this_process"]);
        let output = child.env("TDRM_EMULATES_A_GPU", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
}
