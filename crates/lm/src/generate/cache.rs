//! Keys and values of earlier tokens.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use tdrm_kernels::attention::Heads;
use tdrm_kernels::cuda::Seen;
use tdrm_kernels::decode::{Cache as Slots, Place};
use tdrm_kernels::rope::{RopeTable, Rotation};

use crate::LmError;
use crate::model::Model;
use crate::ops::cuda::Reach;
use crate::ops::{Engine, composed, with_slice};

/// Room for sequences in slots.
#[derive(Debug, Clone)]
pub(crate) enum Cache {
    /// For the fused form: one for each layer.
    Fused(Vec<Slots>),
    /// For the composed form: keys and values of each layer, `[slots · capacity, K·D]`.
    Composed { layers: Vec<(Tensor, Tensor)>, capacity: usize },
    /// For the kernels of a GPU: keys, then values, of each layer, `[2, slots · capacity, K·D]`.
    Gpu { layers: Vec<Tensor>, capacity: usize },
}

/// New rows of a cache: their places, and what every layer needs of them. The rows of a slot are consecutive and in order.
#[derive(Debug)]
pub(crate) struct NewRows<'a> {
    places: &'a [Place],
    rope: Arc<RopeTable>,
    reach: Option<Reach>,
}

impl<'a> NewRows<'a> {
    /// Rows at these places of a cache.
    pub(crate) fn new(model: &Model, cache: &Cache, places: &'a [Place]) -> Result<Self, LmError> {
        let rope = model.rope(places.iter().map(|place| place.position + 1).max().unwrap_or(0))?;
        let reach = match cache {
            Cache::Gpu { capacity, .. } => model.reach(&rope, || Seen::places(places, *capacity))?,
            _ => None,
        };
        Ok(Self { places, rope, reach })
    }
}

impl Cache {
    /// Room for `slots` sequences of up to `capacity` tokens.
    pub(crate) fn new(model: &Model, slots: usize, capacity: usize) -> Result<Self, LmError> {
        let (heads, layers) = (&model.config().heads, model.config().layers());
        if model.engine() == Engine::Fused {
            return Ok(Self::Fused((0..layers).map(|_| Slots::new(heads, slots, capacity)).collect()));
        }
        let storage = model.storage();
        if model.attends_on_gpu() {
            let shape = (2, slots * capacity, heads.key_value_width());
            let zeros = |_| Ok(Tensor::zeros(shape, storage.dtype, &storage.device)?);
            return Ok(Self::Gpu { layers: (0..layers).map(zeros).collect::<Result<_, LmError>>()?, capacity });
        }
        let zeros = || Tensor::zeros((slots * capacity, heads.key_value_width()), storage.dtype, &storage.device);
        let layers = (0..layers).map(|_| Ok((zeros()?, zeros()?))).collect::<Result<_, LmError>>()?;
        Ok(Self::Composed { layers, capacity })
    }

    /// Bytes that this much room takes.
    pub(crate) fn bytes(model: &Model, slots: usize, capacity: usize) -> usize {
        let heads = &model.config().heads;
        let floats = match model.engine() {
            Engine::Fused => heads.key_value * Slots::floats(heads, capacity),
            Engine::Composed => 2 * heads.key_value_width() * capacity,
        };
        [slots, floats, model.config().layers()].into_iter().fold(size_of::<f32>(), usize::saturating_mul)
    }

    /// Most rows that run at once.
    pub(crate) fn piece(&self) -> usize {
        match self {
            Self::Fused(_) => 512,
            // Every row of a piece holds all that it sees.
            Self::Composed { .. } => 64,
            Self::Gpu { .. } => 4096,
        }
    }

    /// Copies the first `positions` tokens of one slot to another.
    pub(crate) fn fork(&mut self, from: usize, to: usize, positions: usize) -> Result<(), LmError> {
        match self {
            Self::Fused(layers) => layers.iter_mut().try_for_each(|layer| layer.fork(from, to, positions))?,
            Self::Composed { layers, capacity } => {
                for tensor in layers.iter().flat_map(|(k, v)| [k, v]) {
                    let rows = tensor.narrow(0, from * *capacity, positions)?.copy()?;
                    tensor.slice_set(&rows, 0, to * *capacity)?;
                }
            }
            Self::Gpu { layers, capacity } => {
                for tensor in layers {
                    let rows = tensor.narrow(1, from * *capacity, positions)?.force_contiguous()?;
                    tensor.slice_set(&rows, 1, to * *capacity)?;
                }
            }
        }
        Ok(())
    }

    /// Rotates rows `[n, (H+2K)·D]`, appends their keys and values to their places, and attends: `[n, H·D]`.
    pub(crate) fn attend(
        &mut self,
        model: &Model,
        layer: usize,
        rows: &NewRows<'_>,
        qkv: &Tensor,
    ) -> Result<Tensor, LmError> {
        let NewRows { places, rope, reach } = rows;
        let (heads, window) = (model.config().heads, model.config().windows[layer]);
        match self {
            Self::Fused(layers) => fused(&mut layers[layer], heads, window, rope, places, qkv),
            Self::Composed { layers, capacity } => {
                composed(&layers[layer], *capacity, heads, window, rope, places, qkv)
            }
            Self::Gpu { layers, .. } => {
                let missing = || LmError::setting("rows of a cache on a GPU", "rows made for it", "others");
                let reach = reach.as_ref().ok_or_else(missing)?;
                Ok(reach.append_and_attend(&layers[layer], qkv, heads, window)?)
            }
        }
    }
}

fn fused(
    cache: &mut Slots,
    heads: Heads,
    window: Option<usize>,
    rope: &RopeTable,
    places: &[Place],
    qkv: &Tensor,
) -> Result<Tensor, LmError> {
    let (width, out) = (heads.width(), heads.query_width());
    let mut qkv = with_slice(qkv, |qkv| Ok(qkv.to_vec()))?;
    let positions = places.iter().map(|place| place.position);
    rope.rotate(&mut qkv, width, heads.query + heads.key_value, positions, Rotation::Forward)?;
    cache.append(&heads, places, &qkv)?;
    // Row by row also where a prompt is long: so a row's numbers do not depend on how its prompt was cut or shared.
    let mut attended = vec![0.0; places.len() * out];
    cache.attend_rows(&heads, window, places, &qkv, &mut attended)?;
    Ok(Tensor::from_vec(attended, (places.len(), out), &Device::Cpu)?)
}

fn composed(
    (k, v): &(Tensor, Tensor),
    capacity: usize,
    heads: Heads,
    window: Option<usize>,
    rope: &RopeTable,
    places: &[Place],
    qkv: &Tensor,
) -> Result<Tensor, LmError> {
    let (n, d, device) = (places.len(), heads.dim, qkv.device());
    let positions: Vec<usize> = places.iter().map(|place| place.position).collect();
    let (cos, sin) = composed::angles(rope, &positions, heads, device)?;
    let (cos, sin) = (cos.unsqueeze(1)?, sin.unsqueeze(1)?);
    let part = |first: usize, count: usize| qkv.narrow(1, first * d, count * d)?.reshape((n, count, d));
    let q = composed::rotate(&part(0, heads.query)?, &cos, &sin, rope)?;
    let new_k = composed::rotate(&part(heads.query, heads.key_value)?, &cos, &sin, rope)?;
    let new_v = part(heads.query + heads.key_value, heads.key_value)?;
    let width = heads.key_value_width();
    let rows: Vec<u32> = places.iter().map(|place| (place.slot * capacity + place.position) as u32).collect();
    let index = Tensor::from_vec(rows, (n, 1), device)?.broadcast_as((n, width))?.contiguous()?;
    k.scatter_set(&index, &new_k.reshape((n, width))?.contiguous()?, 0)?;
    v.scatter_set(&index, &new_v.reshape((n, width))?.contiguous()?, 0)?;
    // Each row sees its slot up to the longest position of all.
    let seen = positions.iter().max().map_or(0, |longest| longest + 1);
    let rows: Vec<u32> =
        places.iter().flat_map(|place| (0..seen).map(|i| (place.slot * capacity + i) as u32)).collect();
    let index = Tensor::from_vec(rows, n * seen, device)?;
    let gather = |cache: &Tensor| {
        cache.index_select(&index, 0)?.reshape((n, seen, heads.key_value, d))?.transpose(1, 2)?.contiguous()
    };
    let window = window.unwrap_or(usize::MAX);
    let hidden = |p: usize, i: usize| if i <= p && p - i < window { 0.0 } else { f32::NEG_INFINITY };
    let mask: Vec<f32> = positions.iter().flat_map(|&p| (0..seen).map(move |i| hidden(p, i))).collect();
    let mask = Tensor::from_vec(mask, (n, 1, 1, seen), device)?;
    let o = composed::attend(&q.unsqueeze(2)?, &gather(k)?, &gather(v)?, &mask)?;
    Ok(o.reshape((n, heads.query_width()))?)
}
