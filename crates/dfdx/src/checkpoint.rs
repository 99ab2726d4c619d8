//! Safetensors files: checked reading, atomic writing.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::LmError;
use crate::layout::Entry;

/// Attaches a path to an I/O error.
pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> LmError + use<> {
    let path = path.to_path_buf();
    move |source| LmError::Io { path, source }
}

/// Writes a file under a temporary name in the same folder and renames it: readers see the old file or the whole new one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), LmError> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        // The temporary file is ours; if it cannot be removed either, the first error is the one to report.
        let _ = fs::remove_file(&temporary);
        io(path)(source)
    })
}

/// The bytes of a safetensors file with these tensors.
pub(crate) fn serialise<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])>,
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, LmError> {
    let bytes: Vec<_> = tensors
        .map(|(name, shape, data)| (name, shape, data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)))
        .collect::<Result<Vec<_>, LmError>>()?;
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// Checks every tensor of a file against the layout before anything is allocated for it.
///
/// `optional` names may be absent, `ignored` names may be present.
pub(crate) fn check(
    file: &SafeTensors<'_>,
    entries: &BTreeMap<String, Entry>,
    optional: &[&str],
    ignored: &[&str],
) -> Result<(), LmError> {
    for (name, view) in file.iter() {
        let Some(entry) = entries.get(name) else {
            if ignored.contains(&name) {
                continue;
            }
            return Err(LmError::UnknownTensor { name: name.to_owned() });
        };
        if view.dtype() != Dtype::F32 {
            return Err(LmError::TensorDtype { name: name.to_owned(), got: format!("{:?}", view.dtype()) });
        }
        if view.shape() != entry.shape {
            let (expected, got) = (entry.shape.clone(), view.shape().to_vec());
            return Err(LmError::TensorShape { name: name.to_owned(), expected, got });
        }
    }
    match entries.keys().find(|name| !optional.contains(&name.as_str()) && file.tensor(name).is_err()) {
        Some(name) => Err(LmError::MissingTensor { name: name.clone() }),
        None => Ok(()),
    }
}

/// Copies the tensors of a checked file to their places.
pub(crate) fn read(
    file: &SafeTensors<'_>,
    entries: &BTreeMap<String, Entry>,
    theta: &mut [f32],
) -> Result<(), LmError> {
    for (name, view) in file.iter() {
        let Some(entry) = entries.get(name) else { continue };
        for (x, bytes) in theta[entry.range.clone()].iter_mut().zip(view.data().as_chunks::<4>().0) {
            *x = f32::from_le_bytes(*bytes);
            if !x.is_finite() {
                return Err(LmError::NotFinite { what: format!("tensor {name}"), step: 0 });
            }
        }
    }
    Ok(())
}
