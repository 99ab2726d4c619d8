//! Reading safetensors, single or sharded, tensor by tensor.
//!
//! Files are mapped, and a tensor is converted from its pages to the model's type when it is asked for: loading takes the
//! model's memory, beside pages that the system can take back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::Deserialize;
use tdrm_kernels::mapped::Mapped;

use crate::LmError;

/// Longest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// A type that a model's weights have in memory.
pub(crate) trait Element: Copy {
    /// The nearest number.
    fn nearest(x: f32) -> Self;

    /// Whether it is a number.
    fn is_finite(self) -> bool;
}

impl Element for f32 {
    fn nearest(x: f32) -> Self {
        x
    }

    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

impl Element for bf16 {
    fn nearest(x: f32) -> Self {
        Self::from_f32(x)
    }

    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

/// Where a tensor lies.
#[derive(Debug, Clone)]
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Bytes of the file.
    start: u64,
    len: usize,
}

/// The tensors of a checkpoint by their Hugging Face names.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    files: Vec<PathBuf>,
    entries: BTreeMap<String, Entry>,
    read: BTreeSet<String>,
    /// Of the last file.
    metadata: HashMap<String, String>,
}

/// `model.safetensors.index.json`.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    pub(crate) fn open(directory: &Path) -> Result<Self, LmError> {
        let (single, index) = (directory.join("model.safetensors"), directory.join("model.safetensors.index.json"));
        if single.exists() || !index.exists() {
            return Self::of_file(&single);
        }
        let text = fs::read_to_string(&index).map_err(LmError::io(&index))?;
        let Index { weight_map } = serde_json::from_str(&text).map_err(LmError::json(&index))?;
        let mut shards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (tensor, file) in &weight_map {
            shards.entry(file).or_default().push(tensor);
        }
        let (entries, read) = (BTreeMap::new(), BTreeSet::new());
        let mut checkpoint = Self { path: index.clone(), files: Vec::new(), entries, read, metadata: HashMap::new() };
        for (file, tensors) in shards {
            let plain = Path::new(file).file_name().is_some_and(|name| name == file);
            if !plain {
                let reason = format!("shard {file:?}: expected the plain name of a file in this directory");
                return Err(LmError::Format { path: index, reason });
            }
            let path = directory.join(file);
            let (header, _) = header(&path, checkpoint.files.len())?;
            for tensor in tensors {
                let Some(entry) = header.get(tensor) else {
                    let reason = format!("the index says it holds {tensor}, which it does not");
                    return Err(LmError::Format { path, reason });
                };
                checkpoint.entries.insert(tensor.to_owned(), entry.clone());
            }
            checkpoint.files.push(path);
        }
        checkpoint.canonical_names();
        Ok(checkpoint)
    }

    /// Opens one file.
    pub(crate) fn of_file(path: &Path) -> Result<Self, LmError> {
        let (path, (entries, metadata)) = (path.to_owned(), header(path, 0)?);
        let mut checkpoint = Self { path: path.clone(), files: vec![path], entries, read: BTreeSet::new(), metadata };
        checkpoint.canonical_names();
        Ok(checkpoint)
    }

    /// Strips what wrappers put before the names, and adds what base models leave out.
    fn canonical_names(&mut self) {
        let base = self.entries.contains_key("embed_tokens.weight");
        let canonical = |name: String| {
            let name = name.strip_prefix("pretrained_model.").map(str::to_owned).unwrap_or(name);
            let of_base = base && ["embed_tokens.", "layers.", "norm."].iter().any(|start| name.starts_with(start));
            if of_base { format!("model.{name}") } else { name }
        };
        self.entries = std::mem::take(&mut self.entries).into_iter().map(|(n, e)| (canonical(n), e)).collect();
    }

    /// Whether there is such a tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The shape of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// A text that the file holds beside its tensors.
    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Names of tensors that nobody has read.
    pub(crate) fn unread(&self) -> Vec<String> {
        self.entries.keys().filter(|name| !self.read.contains(*name)).cloned().collect()
    }

    /// Reads a tensor to the end of `out`, after checking its shape; its numbers must be finite in this type.
    pub(crate) fn read_into<T: Element>(
        &mut self,
        name: &str,
        shape: &[usize],
        out: &mut Vec<T>,
    ) -> Result<(), LmError> {
        let Some(entry) = self.entries.get(name) else {
            let (name, expected) = (name.to_owned(), shape.to_vec());
            return Err(LmError::MissingTensor { name, expected, path: self.path.clone() });
        };
        if entry.shape != shape {
            let (name, expected, got) = (name.to_owned(), shape.to_vec(), entry.shape.clone());
            return Err(LmError::TensorShape { name, expected, got });
        }
        let convert: fn(&[u8], &mut Vec<T>) = match entry.dtype {
            Dtype::F32 => |bytes, out| extend(bytes, out, f32::from_le_bytes),
            Dtype::BF16 => |bytes, out| extend(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
            Dtype::F16 => |bytes, out| extend(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::F64 => |bytes, out| extend(bytes, out, |b| f64::from_le_bytes(b) as f32),
            other => return Err(LmError::TensorDtype { name: name.to_owned(), got: format!("{other:?}") }),
        };
        let path = &self.files[entry.file];
        let mapped = File::open(path).and_then(|file| Mapped::new(&file)).map_err(LmError::io(path))?;
        let bytes = usize::try_from(entry.start).ok().and_then(|start| mapped.get(start..)?.get(..entry.len));
        let Some(bytes) = bytes else {
            let reason = format!("tensor {name} lies beyond its {} bytes: it was changed meanwhile", mapped.len());
            return Err(LmError::Format { path: path.clone(), reason });
        };
        let start = out.len();
        out.reserve_exact(shape.iter().product());
        convert(bytes, out);
        if !out[start..].iter().all(|x| x.is_finite()) {
            return Err(LmError::NotFinite { what: format!("tensor {name}") });
        }
        self.read.insert(name.to_owned());
        Ok(())
    }
}

/// Appends the numbers that `bytes` hold.
fn extend<T: Element, const N: usize>(bytes: &[u8], out: &mut Vec<T>, number: impl Fn([u8; N]) -> f32) {
    out.extend(bytes.as_chunks().0.iter().map(|bytes| T::nearest(number(*bytes))));
}

/// What a file says of its tensors, and its metadata.
type Header = (BTreeMap<String, Entry>, HashMap<String, String>);

/// Reads and checks the header of a file.
fn header(path: &Path, file: usize) -> Result<Header, LmError> {
    let wrong = |reason: String| LmError::Format { path: path.to_owned(), reason };
    let mut reader = File::open(path).map_err(LmError::io(path))?;
    let size = reader.metadata().map_err(LmError::io(path))?.len();
    let mut length = [0; 8];
    if size < 8 {
        return Err(wrong(format!("expected at least 8 bytes, got {size}")));
    }
    reader.read_exact(&mut length).map_err(LmError::io(path))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER.min(size - 8) {
        return Err(wrong(format!("a header of {length} bytes in a file of {size}")));
    }
    let mut bytes = vec![0; length as usize];
    reader.read_exact(&mut bytes).map_err(LmError::io(path))?;
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|error| wrong(format!("header: {error}")))?;
    let data = 8 + length;
    let mut entries = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        let (start, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let inside = start <= end && data.checked_add(end).is_some_and(|end| end <= size);
        if !inside {
            return Err(wrong(format!("tensor {name} lies at bytes {start} to {end} of {} of data", size - data)));
        }
        let elements = info.shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
        let bits = elements.and_then(|n| n.checked_mul(info.dtype.bitsize()));
        if bits.map(|bits| bits.div_ceil(8) as u64) != Some(end - start) {
            let shape = &info.shape;
            return Err(wrong(format!("tensor {name} of shape {shape:?} has {} bytes", end - start)));
        }
        let (dtype, shape) = (info.dtype, info.shape.clone());
        entries.insert(name, Entry { file, dtype, shape, start: data + start, len: (end - start) as usize });
    }
    Ok((entries, metadata.metadata().clone().unwrap_or_default()))
}
