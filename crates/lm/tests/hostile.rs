//! Mutations of small checkpoints: whatever stands in the files, loading ends with a model or a typed error.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tdrm_lm::Model;

/// The seeds of the fuzz target `checkpoint`: `config.json`, the index or nothing, and a shard, split at NUL bytes.
fn seeds() -> Vec<[Vec<u8>; 3]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/checkpoint");
    let read = |entry: fs::DirEntry| {
        let bytes = fs::read(entry.path()).unwrap();
        let mut parts = bytes.splitn(3, |byte| *byte == 0).map(<[u8]>::to_vec);
        std::array::from_fn(|_| parts.next().unwrap())
    };
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::path);
    entries.into_iter().map(read).collect()
}

fn load(name: &str, [config, index, shard]: &[Vec<u8>; 3]) -> Result<Model, tdrm_lm::LmError> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.json"), config).unwrap();
    let file = if index.is_empty() { "model.safetensors" } else { "model-00001-of-00001.safetensors" };
    fs::write(directory.join(file), shard).unwrap();
    if !index.is_empty() {
        fs::write(directory.join("model.safetensors.index.json"), index).unwrap();
    }
    let loaded = Model::load(&directory);
    fs::remove_dir_all(&directory).unwrap();
    loaded
}

/// A change of a file: at a share of its length, one of eight kinds.
fn change(file: &mut Vec<u8>, at: f64, kind: u8, byte: u8) {
    const WORDS: [&str; 8] = ["null", "-1", "1e30", "18446744073709551615", "\"\"", "[]", "{}", "0.5"];
    let at = (at * file.len() as f64) as usize;
    match kind {
        0 => file.truncate(at),
        1 => file.insert(at, byte),
        2 if at < file.len() => file[at] = byte,
        3 if at < file.len() => file[at] ^= 1 << (byte % 8),
        4 if at < file.len() => {
            file.remove(at);
        }
        5 => {
            // Another value behind a colon.
            let Some(colon) = file[at..].iter().position(|b| *b == b':').map(|i| at + i + 1) else { return };
            let end = file[colon..].iter().position(|b| b",}".contains(b)).map_or(file.len(), |i| colon + i);
            drop(file.splice(colon..end, WORDS[usize::from(byte % 8)].bytes()));
        }
        6 => file.extend_from_within(at..),
        _ => {
            let digits = file[at..].iter().position(u8::is_ascii_digit).map(|i| at + i);
            if let Some(digit) = digits {
                file.splice(digit..digit, [b'9'; 7]);
            }
        }
    }
}

#[test]
fn the_seeds_are_models() {
    for (i, seed) in seeds().iter().enumerate() {
        let model = load(&format!("seed-{i}"), seed).unwrap();
        assert!(model.logits(&[0, 1]).unwrap().iter().all(|x| x.is_finite()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_changed_directory_is_a_model_or_an_error(
        which in 0_usize..4,
        changes in prop::collection::vec((0_usize..3, 0.0..1.0, 0_u8..8, any::<u8>()), 1..5),
    ) {
        let mut seed = seeds()[which].clone();
        for (file, at, kind, byte) in changes {
            change(&mut seed[file], at, kind, byte);
        }
        if let Ok(model) = load("changed", &seed) {
            // What the configuration says is bounded by what the files hold.
            prop_assert!(2 * model.len() <= seed[2].len());
            let _ = model.logits(&[0]);
        }
    }
}
