//! Downloads from the Hugging Face Hub, only when somebody asks.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Repo, RepoType};

use crate::LmError;

/// Downloads what this crate reads of a model repository, and returns the directory that holds it: configuration,
/// tokenizer, chat templates, safetensors. Files that are in the cache already are not fetched again.
///
/// The cache, the endpoint and the token are those of Hugging Face's own tools (`HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` or
/// the token that `hf auth login` left). `revision` is a branch, a tag or a commit; name a commit to get the same files
/// tomorrow.
///
/// # Errors
/// If the hub cannot be reached, knows no such repository or revision, or the repository has no `config.json`.
pub fn download(name: &str, revision: &str, progress: bool) -> Result<PathBuf, LmError> {
    let wrong = |error: hf_hub::api::sync::ApiError| LmError::Hub {
        name: name.to_owned(),
        revision: revision.to_owned(),
        reason: error.to_string(),
    };
    let mut builder = ApiBuilder::from_env().with_progress(progress);
    if let Ok(token) = std::env::var("HF_TOKEN") {
        builder = builder.with_token(Some(token));
    }
    let repo = Repo::with_revision(name.to_owned(), RepoType::Model, revision.to_owned());
    let repo = builder.build().map_err(wrong)?.repo(repo);
    let files: Vec<String> = repo.info().map_err(wrong)?.siblings.into_iter().map(|file| file.rfilename).collect();
    let mut directory = None;
    for file in files.iter().filter(|file| is_read(file)) {
        let path = repo.get(file).map_err(wrong)?;
        if file == "config.json" {
            directory = path.parent().map(Path::to_owned);
        }
    }
    directory.ok_or_else(|| LmError::Hub {
        name: name.to_owned(),
        revision: revision.to_owned(),
        reason: format!("expected a file config.json, got {}", files.join(", ")),
    })
}

/// Whether a file of a repository is one that this crate reads.
fn is_read(file: &str) -> bool {
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
    let plain = !file.contains('/');
    plain && matches!(extension, Some("json" | "jinja" | "safetensors")) && file != "model_index.json"
}

#[cfg(test)]
mod tests {
    use super::is_read;

    #[test]
    fn what_is_read_is_fetched() {
        for file in ["config.json", "model-00001-of-00002.safetensors", "chat_template.jinja", "tokenizer.json"] {
            assert!(is_read(file), "{file}");
        }
        for file in ["pytorch_model.bin", "README.md", "onnx/model.json", "original/params.json", ".gitattributes"] {
            assert!(!is_read(file), "{file}");
        }
    }
}
