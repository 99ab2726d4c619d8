//! Writing files that appear whole or not at all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use candle_core::DType;
use half::bf16;
use safetensors::{Dtype, View, serialize_to_file};

use crate::LmError;

/// A tensor whose bytes are made when they are written.
#[derive(Debug)]
struct Floats<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    values: &'a [f32],
}

impl View for &Floats<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes: Vec<u8> = match self.dtype {
            Dtype::BF16 => self.values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
            _ => self.values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        bytes.into()
    }

    fn data_len(&self) -> usize {
        let width = if self.dtype == Dtype::BF16 { 2 } else { 4 };
        width * self.values.len()
    }
}

/// Writes named tensors as transformers does, as bfloat16 or as 32-bit floats.
pub(crate) fn write_tensors<'a>(
    path: &Path,
    dtype: DType,
    tensors: impl Iterator<Item = (String, Vec<usize>, &'a [f32])>,
) -> Result<(), LmError> {
    write_tensors_with(path, dtype, tensors, &[("format", "pt".to_owned())])
}

/// Writes named tensors with other metadata.
pub(crate) fn write_tensors_with<'a>(
    path: &Path,
    dtype: DType,
    tensors: impl Iterator<Item = (String, Vec<usize>, &'a [f32])>,
    metadata: &[(&str, String)],
) -> Result<(), LmError> {
    let dtype = if dtype == DType::BF16 { Dtype::BF16 } else { Dtype::F32 };
    let tensors: Vec<_> = tensors.map(|(name, shape, values)| (name, Floats { dtype, shape, values })).collect();
    let views = tensors.iter().map(|(name, tensor)| (name, tensor));
    let metadata: HashMap<_, _> = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let temporary = beside(path);
    let wrong = |error: safetensors::SafeTensorError| {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        LmError::Format { path: path.to_owned(), reason: error.to_string() }
    };
    serialize_to_file(views, Some(metadata), &temporary).map_err(wrong)?;
    fs::rename(&temporary, path).map_err(LmError::io(path))
}

/// The name under which a file is written before it is whole.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}

/// Writes a file beside its final name, then renames it.
pub(crate) fn write_atomically(path: &Path, contents: &[u8]) -> Result<(), LmError> {
    let temporary = beside(path);
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        LmError::Io { path: path.to_owned(), source }
    })
}
