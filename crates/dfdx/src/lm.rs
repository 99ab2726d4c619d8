//! The language model: configuration and weights.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rand_distr::{Distribution as _, Normal};
use safetensors::SafeTensors;
use tdrm_core::Seed;
use tdrm_kernels::adamw;
use tdrm_kernels::head::FinalNorm;
use tdrm_kernels::rope::RopeTable;

use crate::checkpoint::{self, io, write_atomically};
use crate::layout::{Layout, SCORE_BIAS, SCORE_WEIGHT};
use crate::sampling::Decoder;
use crate::{LmConfig, LmError};

/// A compact decoder language model with a scalar head.
///
/// The weights are one flat vector behind an `Arc`: a clone is a snapshot that costs nothing until one of the two is
/// trained. On disk it is a Hugging Face directory: `config.json` and `model.safetensors`, which transformers loads
/// unchanged, and the scalar head beside them in `value_head.safetensors`.
#[derive(Debug, Clone)]
pub struct Lm {
    config: LmConfig,
    layout: Arc<Layout>,
    rope: Arc<RopeTable>,
    theta: Arc<Vec<f32>>,
    /// The weights rearranged for sampling; made on first use, dropped when the weights change.
    decoder: OnceLock<Arc<Decoder>>,
}

impl PartialEq for Lm {
    /// Same configuration, same weights.
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config && self.theta == other.theta
    }
}

impl Lm {
    /// Fresh weights: norms 1, biases 0, all else normal with standard deviation `initializer_range`.
    ///
    /// # Errors
    /// If the configuration is not possible.
    pub fn init(config: LmConfig, seed: Seed) -> Result<Self, LmError> {
        config.check()?;
        let layout = Layout::new(&config);
        let mut theta = vec![0.0; layout.len()];
        let normal = Normal::new(0.0, config.initializer_range as f32).map_err(|_| LmError::Setting {
            what: "initializer_range",
            expected: "a number not below 0",
            got: config.initializer_range,
        })?;
        for (name, entry) in &layout.entries {
            let values = &mut theta[entry.range.clone()];
            if entry.shape.len() == 2 {
                let mut rng = seed.named(name).rng();
                values.fill_with(|| normal.sample(&mut rng));
            } else if name.ends_with("weight") {
                values.fill(1.0);
            }
        }
        Self::assemble(config, layout, theta)
    }

    fn assemble(config: LmConfig, layout: Layout, theta: Vec<f32>) -> Result<Self, LmError> {
        let rope = RopeTable::new(config.rope_theta, config.head_dim, config.max_position_embeddings)?;
        Ok(Self {
            config,
            layout: Arc::new(layout),
            rope: Arc::new(rope),
            theta: Arc::new(theta),
            decoder: OnceLock::new(),
        })
    }

    /// Loads a Hugging Face directory; without `value_head.safetensors` the scalar head is zero.
    ///
    /// # Errors
    /// If a file is missing or malformed, or a tensor is missing, unknown, of another shape or type, or not finite.
    pub fn load(directory: &Path) -> Result<Self, LmError> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read(&path).map_err(io(&path))
        };
        let path = directory.join("config.json");
        let config = fs::read_to_string(&path).map_err(io(&path))?;
        let mut lm = Self::from_bytes(&config, &read("model.safetensors")?)?;
        if directory.join("value_head.safetensors").exists() {
            lm.read_value_head(&read("value_head.safetensors")?)?;
        }
        Ok(lm)
    }

    /// Loads a model from the contents of its two files, for one that is embedded in a program.
    ///
    /// The weights may hold the scalar head too, as `score.weight` `[1, d]` and `score.bias` `[1]`.
    ///
    /// # Errors
    /// As [`Lm::load`].
    pub fn from_bytes(config: &str, weights: &[u8]) -> Result<Self, LmError> {
        let config = LmConfig::from_json(config)?;
        let file = SafeTensors::deserialize(weights)?;
        let layout = Layout::new(&config);
        // transformers leaves a tied output embedding out, other writers repeat it.
        let ignored = if config.tie_word_embeddings { &["lm_head.weight"][..] } else { &[] };
        checkpoint::check(&file, &layout.entries, &[SCORE_WEIGHT, SCORE_BIAS], ignored)?;
        let mut theta = vec![0.0; layout.len()];
        checkpoint::read(&file, &layout.entries, &mut theta)?;
        Self::assemble(config, layout, theta)
    }

    fn read_value_head(&mut self, bytes: &[u8]) -> Result<(), LmError> {
        let file = SafeTensors::deserialize(bytes)?;
        let names = [SCORE_WEIGHT, SCORE_BIAS];
        let entries =
            self.layout.entries.clone().into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect();
        checkpoint::check(&file, &entries, &[], &[])?;
        checkpoint::read(&file, &entries, self.theta_mut())
    }

    /// Saves a directory that [`Lm::load`] and transformers read; each file is replaced as a whole or not at all.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), LmError> {
        fs::create_dir_all(directory).map_err(io(directory))?;
        let (head, model): (Vec<_>, Vec<_>) = self.parameters().partition(|(name, ..)| name.starts_with("score."));
        let metadata = || HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let head = checkpoint::serialise(head.into_iter(), metadata())?;
        let model = checkpoint::serialise(model.into_iter(), metadata())?;
        write_atomically(&directory.join("value_head.safetensors"), &head)?;
        write_atomically(&directory.join("config.json"), self.config.to_json().as_bytes())?;
        write_atomically(&directory.join("model.safetensors"), &model)
    }

    /// All weights and the scalar head as one safetensors file, for [`Lm::from_bytes`].
    ///
    /// # Errors
    /// If the tensors cannot be serialised.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LmError> {
        checkpoint::serialise(self.parameters(), HashMap::from([("format".to_owned(), "pt".to_owned())]))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &LmConfig {
        &self.config
    }

    /// Every parameter: its Hugging Face name, its shape, its values.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        self.layout
            .entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.shape.as_slice(), &self.theta[entry.range.clone()]))
    }

    /// Number of parameters, the scalar head included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layout.len()
    }

    /// Never: a model has parameters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves every weight towards `other`: `θ ← decay·θ + (1 − decay)·θ_other`, for a target network.
    ///
    /// # Errors
    /// If the models have different shapes or `decay` is outside [0, 1].
    pub fn lerp_from(&mut self, other: &Self, decay: f32) -> Result<(), LmError> {
        if !(0.0..=1.0).contains(&decay) {
            return Err(LmError::Setting { what: "decay", expected: "a number in [0, 1]", got: f64::from(decay) });
        }
        Ok(adamw::lerp(self.theta_mut(), &other.theta, decay)?)
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    pub(crate) fn rope(&self) -> &RopeTable {
        &self.rope
    }

    /// All parameters, flat.
    pub(crate) fn theta(&self) -> &[f32] {
        &self.theta
    }

    /// All parameters, to be changed; copies them first if a snapshot shares them.
    pub(crate) fn theta_mut(&mut self) -> &mut [f32] {
        self.decoder = OnceLock::new();
        Arc::make_mut(&mut self.theta).as_mut_slice()
    }

    /// The weights rearranged for sampling.
    pub(crate) fn decoder(&self) -> Result<Arc<Decoder>, LmError> {
        if let Some(decoder) = self.decoder.get() {
            return Ok(Arc::clone(decoder));
        }
        let decoder = Arc::new(Decoder::new(self)?);
        Ok(Arc::clone(self.decoder.get_or_init(|| decoder)))
    }

    /// The final norm.
    pub(crate) fn norm(&self) -> FinalNorm<'_> {
        FinalNorm { weight: &self.theta[self.layout.norm.clone()], epsilon: self.config.rms_norm_eps as f32 }
    }

    /// The matrix that makes logits, `[V, d]`.
    pub(crate) fn output(&self) -> &[f32] {
        &self.theta[self.layout.output()]
    }

    /// The scalar head: weight `[d]`, bias.
    pub(crate) fn score(&self) -> (&[f32], f32) {
        let score = &self.theta[self.layout.score.clone()];
        (&score[..score.len() - 1], score[score.len() - 1])
    }
}
