//! Finished stages on disk: what makes a run survive `kill -9`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::RecipeError;

/// Writes a file so that its final name never holds half of it: to a neighbour first, flushed, then renamed.
///
/// # Errors
/// If the file system refuses; the neighbour is removed then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), RecipeError> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(RecipeError::file(folder))?;
    }
    let partial = path.with_added_extension("partial");
    let write = || {
        let mut file = fs::File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&partial); // nothing to add to the error that is already on its way
        RecipeError::File { path: path.to_owned(), source }
    })
}

/// A folder of finished stages, each a JSON file, bound to one configuration.
///
/// A stage is written once, under its final name, when it is complete. Opening the folder with another
/// configuration empties it: results of different settings never mix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens the folder for this configuration; returns how many finished stages were found.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn open(folder: &Path, config: &impl Serialize) -> Result<(Self, usize), RecipeError> {
        let store = Self { folder: folder.to_owned() };
        let config = to_json(folder, config)?;
        let marker = folder.join("config.json");
        if fs::read(&marker).is_ok_and(|found| found == config) {
            let found = fs::read_dir(folder).map_err(RecipeError::file(folder))?;
            let stages = found.filter_map(Result::ok).filter(|e| e.path().extension().is_some_and(|x| x == "json"));
            return Ok((store, stages.count() - 1));
        }
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(RecipeError::file(folder))?;
        }
        write_atomically(&marker, &config)?;
        Ok((store, 0))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the stage if it is finished; otherwise does the work and keeps it.
    ///
    /// # Errors
    /// If the work fails, or the stage cannot be read or written.
    pub fn stage<T: Serialize + DeserializeOwned, E: From<RecipeError>>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let path = self.folder.join(format!("{name}.json"));
        if path.exists() {
            let bytes = fs::read(&path).map_err(RecipeError::file(&path))?;
            return Ok(serde_json::from_slice(&bytes).map_err(RecipeError::content(&path))?);
        }
        let result = work()?;
        write_atomically(&path, &to_json(&path, &result)?)?;
        Ok(result)
    }

    /// Removes the folder: the run is complete.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn remove(self) -> Result<(), RecipeError> {
        fs::remove_dir_all(&self.folder).map_err(RecipeError::file(&self.folder))
    }
}

fn to_json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, RecipeError> {
    serde_json::to_vec(value).map_err(RecipeError::content(path))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("tdrm-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    fn never() -> Result<u32, RecipeError> {
        unreachable!("a finished stage is not done again")
    }

    #[test]
    fn a_finished_stage_is_not_done_again() {
        let folder = folder("twice");
        let (store, found) = Store::open(&folder, &"a").unwrap();
        assert_eq!(found, 0);
        assert_eq!(store.stage("one", || Ok::<_, RecipeError>(7_u32)).unwrap(), 7);
        let (store, found) = Store::open(&folder, &"a").unwrap();
        assert_eq!((found, store.stage("one", never).unwrap()), (1, 7));
        store.remove().unwrap();
    }

    #[test]
    fn another_configuration_starts_afresh() {
        let folder = folder("afresh");
        let (store, _) = Store::open(&folder, &"a").unwrap();
        store.stage("one", || Ok::<_, RecipeError>(7_u32)).unwrap();
        let (store, found) = Store::open(&folder, &"b").unwrap();
        assert_eq!((found, store.stage("one", || Ok::<_, RecipeError>(8_u32)).unwrap()), (0, 8));
        store.remove().unwrap();
    }

    #[test]
    fn a_failed_stage_leaves_nothing_behind() {
        let folder = folder("failed");
        let (store, _) = Store::open(&folder, &"a").unwrap();
        let failure = || Err::<u32, _>(RecipeError::Interrupted { state: PathBuf::new() });
        assert!(store.stage("one", failure).is_err());
        assert!(!folder.join("one.json").exists());
        store.remove().unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = write_atomically(Path::new("/proc/no/such/file"), b"x").unwrap_err().to_string();
        assert!(error.contains("/proc/no"), "{error}");
    }
}
