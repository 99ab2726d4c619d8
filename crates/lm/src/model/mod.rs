//! A model: its configuration and its parameters.

mod outputs;
mod pass;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor, Var, WithDType};
use half::bf16;
use rand_distr::{Distribution as _, Normal};
use tdrm_core::Seed;
use tdrm_kernels::batch::Packed;
use tdrm_kernels::cuda::{Seen, fits};
use tdrm_kernels::rope::RopeTable;

use crate::adapter::Adapter;
use crate::config::ModelConfig;
use crate::ops::cuda::{Angles, Reach, is_gpu};
use crate::ops::{Engine, Packing, Weight, with_slice};
use crate::placement::{Placement, Storage};
use crate::weights::{self, Checkpoint, Element, Fresh, Layout, Spec, ValueHead};
use crate::{HeadKind, LmError};

pub use outputs::Scores;
pub(crate) use outputs::{CHUNK, check_temperature, pick, target_scores, to_vec};
pub(crate) use pass::{Pass, Via};

/// Sequences of one forward pass where nothing is trained have at most this many tokens together (or are one sequence).
pub(crate) const MICRO_BATCH_TOKENS: usize = 4096;

/// A decoder language model with its heads.
///
/// Clones share their parameters; [`Model::snapshot`] copies them.
#[derive(Clone)]
pub struct Model {
    config: Arc<ModelConfig>,
    layout: Arc<Layout>,
    /// The layout's parameters, then the adapter's.
    parameters: Vec<Var>,
    pub(crate) adapter: Option<Arc<Adapter>>,
    storage: Storage,
    engine: Engine,
    /// Grows with the longest sequence met.
    rope: Arc<Mutex<Arc<RopeTable>>>,
    /// The table on the model's device, where kernels of a GPU read it.
    angles: Arc<Mutex<Option<Angles>>>,
    unknown: Arc<[String]>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("architecture", &self.config.architecture)
            .field("parameters", &self.len())
            .field("device", &self.storage.device)
            .field("dtype", &self.storage.dtype)
            .field("engine", &self.engine())
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Loads a Hugging Face directory: `config.json` and `model.safetensors`, or its shards.
    ///
    /// # Errors
    /// If a file is missing or malformed, a tensor is missing, of another shape or not finite, or the configuration
    /// describes a model that this crate does not compute.
    pub fn load(directory: &Path) -> Result<Self, LmError> {
        Self::load_on(directory, Placement::default())
    }

    /// Loads a Hugging Face directory to a device, tensor by tensor.
    ///
    /// # Errors
    /// As [`Model::load`]; if the device cannot be had.
    pub fn load_on(directory: &Path, placement: Placement) -> Result<Self, LmError> {
        let storage = placement.open()?;
        let config = ModelConfig::load(directory)?;
        let mut checkpoint = Checkpoint::open(directory)?;
        let has_summary = checkpoint.has("v_head.summary.weight");
        let value_head = if has_summary { ValueHead::Summary } else { ValueHead::Absent };
        let layout = Layout::new(&config, value_head);
        let read = |spec: &Spec, storage: &Storage| match storage.dtype {
            DType::BF16 => read_parameter::<bf16>(&mut checkpoint, spec),
            _ => read_parameter::<f32>(&mut checkpoint, spec),
        };
        let mut model = Self::assemble(config, layout, storage, read)?;
        // transformers leaves a tied output embedding out, other writers repeat it; old ones keep the frequencies.
        let tied = model.config.tie_word_embeddings;
        let known = |name: &String| name.ends_with("rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
        model.unknown = checkpoint.unread().into_iter().filter(|name| !known(name)).collect();
        Ok(model)
    }

    /// Makes a model with fresh weights: matrices normal with the configuration's `initializer_range`, norms one,
    /// biases zero.
    ///
    /// # Errors
    /// If the configuration cannot be computed.
    pub fn init(config: ModelConfig, seed: Seed) -> Result<Self, LmError> {
        let layout = Layout::new(&config, ValueHead::Absent);
        let range = config.initializer_range;
        let fresh = |spec: &Spec, storage: &Storage| storage.tensor(fresh(spec, range, seed)?, spec.shape.as_slice());
        Self::assemble(config, layout, Placement::default().open()?, fresh)
    }

    /// Gives a causal language model a scalar head, `v_head.summary`, drawn as fresh weights are.
    ///
    /// # Errors
    /// If it has a head for scores already, or an adapter, which comes after the head.
    pub fn with_value_head(self, seed: Seed) -> Result<Self, LmError> {
        if self.layout.score.is_some() || self.config.head != HeadKind::CausalLm {
            return Err(LmError::setting("value head", "a model without a head for scores", &self.config.architecture));
        }
        let layout = Layout::new(&self.config, ValueHead::Summary);
        self.laid_out(Arc::clone(&self.config), layout, |spec| fresh(spec, self.config.initializer_range, seed))
    }

    /// The body of a causal language model under a head for labels, which is zero.
    pub(crate) fn with_labels(self, head: HeadKind) -> Result<Self, LmError> {
        let config = self.config.with_labels(head)?;
        let layout = Layout::new(&config, ValueHead::Absent);
        self.laid_out(Arc::new(config), layout, |spec| Ok(vec![0.0; spec.len()]))
    }

    /// The same model with an output embedding of its own, which is a copy of the input embedding where they were tied.
    pub(crate) fn untied(self) -> Result<Self, LmError> {
        if self.layout.lm_head != Some(self.layout.embed) {
            return Ok(self);
        }
        let config = self.config.untied()?;
        let value_head = if self.layout.score.is_some() { ValueHead::Summary } else { ValueHead::Absent };
        let layout = Layout::new(&config, value_head);
        self.laid_out(Arc::new(config), layout, |_| self.parameter_values(self.layout.embed))
    }

    /// A model without an adapter in another layout: it shares the parameters that both have, the others are `new`.
    fn laid_out(
        &self,
        config: Arc<ModelConfig>,
        layout: Layout,
        new: impl Fn(&Spec) -> Result<Vec<f32>, LmError>,
    ) -> Result<Self, LmError> {
        self.without_adapter()?;
        let parameter = |spec: &Spec| match self.layout.specs.iter().position(|own| own == spec) {
            Some(id) => Ok(self.parameters[id].clone()),
            None => self.storage.variable(new(spec)?, spec.shape.as_slice()),
        };
        let parameters = layout.specs.iter().map(parameter).collect::<Result<_, LmError>>()?;
        Ok(Self { config, layout: Arc::new(layout), parameters, ..self.clone() })
    }

    fn assemble(
        config: ModelConfig,
        layout: Layout,
        storage: Storage,
        mut tensor: impl FnMut(&Spec, &Storage) -> Result<Tensor, LmError>,
    ) -> Result<Self, LmError> {
        let parameter = |spec: &Spec| Ok(Var::from_tensor(&storage.place(&tensor(spec, &storage)?)?)?);
        let parameters = layout.specs.iter().map(parameter).collect::<Result<_, LmError>>()?;
        let rope = Arc::new(Mutex::new(Arc::new(config.rope.table(config.heads.dim, 0)?)));
        let (config, layout) = (Arc::new(config), Arc::new(layout));
        let (engine, unknown, angles) = (Engine::default(), Arc::from([]), Arc::default());
        Ok(Self { config, layout, parameters, adapter: None, storage, engine, rope, angles, unknown })
    }

    /// A copy at another place, rounded to its type. (Clones share their parameters, copies do not.)
    ///
    /// # Errors
    /// If the device cannot be had or has too little memory.
    pub fn to(&self, placement: Placement) -> Result<Self, LmError> {
        let storage = placement.open()?;
        let copy = |p: &Var| Ok(Var::from_tensor(&storage.place(&p.as_detached_tensor().copy()?)?)?);
        let parameters = self.parameters.iter().map(copy).collect::<Result<_, LmError>>()?;
        Ok(Self { parameters, storage, angles: Arc::default(), ..self.clone() })
    }

    /// Runs passes on another engine; where the fused one cannot run (see [`Placement`]), the composed one does.
    #[must_use]
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Tensors of the checkpoint that this model has no use for.
    #[must_use]
    pub fn unknown_tensors(&self) -> &[String] {
        &self.unknown
    }

    /// Number of parameters, an adapter's included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.elem_count()).sum()
    }

    /// Never: a model has parameters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names and shapes of all tensors, an adapter's included, as a checkpoint has them.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let adapter = self.adapter.iter().flat_map(|adapter| adapter.specs.iter().flat_map(|spec| &spec.parts));
        let parts = self.layout.specs.iter().flat_map(|spec| &spec.parts).chain(adapter);
        parts.map(|part| (part.name.as_str(), part.shape.as_slice()))
    }

    /// The values of a tensor.
    ///
    /// # Errors
    /// If there is no tensor of this name.
    pub fn tensor(&self, name: &str) -> Result<Vec<f32>, LmError> {
        let (id, range) = self.find(name)?;
        self.with_values(id, |values| Ok(values[range].to_vec()))
    }

    /// Replaces the values of a tensor, in this model and the clones that share its parameters.
    ///
    /// # Errors
    /// If there is no tensor of this name, or it has another number of elements.
    pub fn set_tensor(&self, name: &str, values: &[f32]) -> Result<(), LmError> {
        let (id, range) = self.find(name)?;
        if range.len() != values.len() {
            return Err(LmError::setting(&format!("elements of {name}"), range.len().to_string(), values.len()));
        }
        let mut whole = self.parameter_values(id)?;
        whole[range].copy_from_slice(values);
        self.set_parameter(id, whole)
    }

    /// Where a tensor lies: its parameter and the range of its elements.
    fn find(&self, name: &str) -> Result<(usize, Range<usize>), LmError> {
        let found = self.specs().enumerate().find_map(|(id, spec)| {
            let mut parts = spec.parts.iter().zip(spec.ranges());
            parts.find_map(|(part, range)| (part.name == name).then_some((id, range)))
        });
        found.ok_or_else(|| LmError::setting("tensor", "one of this model's", name))
    }

    /// A copy that does not change with this model.
    ///
    /// # Errors
    /// If memory cannot be had on the device.
    pub fn snapshot(&self) -> Result<Self, LmError> {
        let copy = |parameter: &Var| Ok(Var::from_tensor(&parameter.as_detached_tensor().copy()?)?);
        let parameters = self.parameters.iter().map(copy).collect::<Result<_, LmError>>()?;
        Ok(Self { parameters, ..self.clone() })
    }

    /// Saves a directory that [`Model::load`] and transformers read, in the model's own type; each file is replaced as a whole or not at all.
    ///
    /// An adapter is saved by itself ([`Model::save_adapter`]) or merged first ([`Model::merge_adapter`]).
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), LmError> {
        std::fs::create_dir_all(directory).map_err(LmError::io(directory))?;
        let values = (0..self.layout.specs.len()).map(|id| self.parameter_values(id)).collect::<Result<Vec<_>, _>>()?;
        let parts = self.layout.parts();
        let tensors = parts.map(|(id, range, part)| (part.name.clone(), part.shape.clone(), &values[id][range]));
        let bf16 = self.storage.dtype == DType::BF16;
        let config = self.config.to_json_of(if bf16 { "bfloat16" } else { "float32" });
        weights::write_atomically(&directory.join("config.json"), config.as_bytes())?;
        weights::write_tensors(&directory.join("model.safetensors"), self.storage.dtype, tensors)?;
        // A checkpoint that was sharded before must not be read beside the whole one.
        let index = directory.join("model.safetensors.index.json");
        if index.exists() { std::fs::remove_file(&index).map_err(LmError::io(&index)) } else { Ok(()) }
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    pub(crate) fn engine(&self) -> Engine {
        if self.storage.is_fused() { self.engine } else { Engine::Composed }
    }

    /// Where the model lies, and the type that weights and activations have.
    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn parameters(&self) -> &[Var] {
        &self.parameters
    }

    pub(crate) fn parameters_mut(&mut self) -> &mut Vec<Var> {
        &mut self.parameters
    }

    /// All parameters' specs, an adapter's included.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.layout.specs.iter().chain(self.adapter.iter().flat_map(|adapter| &adapter.specs))
    }

    /// Replaces a parameter's values.
    pub(crate) fn set_parameter(&self, id: usize, values: Vec<f32>) -> Result<(), LmError> {
        let parameter = &self.parameters[id];
        Ok(parameter.set(&self.storage.tensor(values, parameter.shape())?)?)
    }

    /// A parameter's values.
    pub(crate) fn parameter_values(&self, id: usize) -> Result<Vec<f32>, LmError> {
        self.with_values(id, |values| Ok(values.to_vec()))
    }

    fn with_values<R>(&self, id: usize, work: impl FnOnce(&[f32]) -> candle_core::Result<R>) -> Result<R, LmError> {
        let tensor = self.parameters[id].as_detached_tensor();
        Ok(with_slice(&tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?, work)?)
    }

    /// The parameters as a pass sees them where nothing is trained.
    pub(crate) fn frozen(&self) -> Vec<Weight> {
        self.parameters.iter().map(|p| Weight { tensor: p.as_detached_tensor(), sink: None }).collect()
    }

    /// A pass where nothing is trained.
    pub(crate) fn pass(&self) -> Pass {
        Pass::new(self, self.frozen())
    }

    /// The rotation of positions below `positions`.
    pub(crate) fn rope(&self, positions: usize) -> Result<Arc<RopeTable>, LmError> {
        let mut rope = self.rope.lock().unwrap_or_else(PoisonError::into_inner);
        if rope.positions() < positions {
            let room = positions.next_power_of_two().min(self.config.longest().max(positions));
            *rope = Arc::new(self.config.rope.table(self.config.heads.dim, room)?);
        }
        Ok(Arc::clone(&rope))
    }

    /// The packing of a batch.
    pub(crate) fn packing(&self, packed: &Packed) -> Result<Packing, LmError> {
        let rope = self.rope(packed.rows.longest())?;
        let reach = self.reach(&rope, || Seen::packed(&packed.rows))?.map(Arc::new);
        Ok(Packing { rows: Arc::clone(&packed.rows), rope, reach })
    }

    /// Whether kernels of a GPU attend where nothing is trained.
    pub(crate) fn attends_on_gpu(&self) -> bool {
        is_gpu(&self.storage.device) && fits(&self.config.heads)
    }

    /// What rows see, on a GPU whose kernels can attend.
    pub(crate) fn reach(&self, rope: &Arc<RopeTable>, seen: impl FnOnce() -> Seen) -> Result<Option<Reach>, LmError> {
        if !self.attends_on_gpu() {
            return Ok(None);
        }
        let mut cached = self.angles.lock().unwrap_or_else(PoisonError::into_inner);
        let angles = match &*cached {
            Some(angles) if angles.are_of(rope) => angles.clone(),
            _ => Angles::new(rope, &self.storage.device)?,
        };
        let reach = Reach::new(seen(), &angles)?;
        *cached = Some(angles);
        Ok(Some(reach))
    }

    /// Rows of the input embedding.
    pub(crate) fn embed(&self, weights: &[Weight], tokens: &[u32]) -> Result<Tensor, LmError> {
        let index = Tensor::from_slice(tokens, tokens.len(), &self.storage.device)?;
        let rows = weights[self.layout.embed].tensor.index_select(&index, 0)?;
        Ok(if self.engine() == Engine::Fused { rows.to_dtype(DType::F32)? } else { rows })
    }
}

/// A parameter's tensor, read from a checkpoint.
fn read_parameter<T: Element + WithDType>(checkpoint: &mut Checkpoint, spec: &Spec) -> Result<Tensor, LmError> {
    // Grows when a tensor of the expected shape is found: what config.json says is not believed before.
    let mut values = Vec::<T>::new();
    for part in &spec.parts {
        checkpoint.read_into(&part.name, &part.shape, &mut values)?;
    }
    Ok(Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?)
}

/// Fresh values of a parameter.
pub(crate) fn fresh(spec: &Spec, range: f64, seed: Seed) -> Result<Vec<f32>, LmError> {
    let mut values = match spec.fresh {
        Fresh::Ones => vec![1.0; spec.len()],
        Fresh::Normal | Fresh::Zeros => vec![0.0; spec.len()],
    };
    if spec.fresh == Fresh::Normal {
        let normal = Normal::new(0.0, range as f32);
        let normal = normal.map_err(|_| LmError::config("initializer_range", "a number not below 0", range))?;
        let mut rest = values.as_mut_slice();
        for part in &spec.parts {
            let (own, others) = rest.split_at_mut(part.len());
            let mut rng = seed.named(&part.name).rng();
            own.fill_with(|| normal.sample(&mut rng));
            rest = others;
        }
    }
    Ok(values)
}
