//! Reading the references and comparing.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One case of the reference file.
pub(crate) struct Case {
    pub(crate) function: String,
    pub(crate) tag: String,
    pub(crate) inputs: Value,
    pub(crate) params: Value,
    pub(crate) outputs: Value,
}

/// A case as a request of ours, and where its numbers are in both answers.
pub(crate) struct Translated {
    pub(crate) request: Value,
    /// Pairs of (field of our answer, expected value).
    pub(crate) expected: Vec<(&'static str, Value)>,
}

/// Relative tolerance, and the absolute one below which a number counts as zero.
const RELATIVE: f64 = 1e-9;
const ABSOLUTE: f64 = 1e-12;

pub(crate) fn shared() -> Option<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared")).find(|path| path.is_dir())
}

pub(crate) fn cases() -> Vec<Case> {
    let Some(path) = shared().map(|folder| folder.join("golden/losses/losses.json")) else {
        eprintln!("SKIPPED: no folder `shared` above {}", env!("CARGO_MANIFEST_DIR"));
        return Vec::new();
    };
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["cases"].as_array().unwrap().iter().map(Case::read).collect()
}

impl Case {
    fn read(case: &Value) -> Self {
        Self {
            function: case["fn"].as_str().unwrap().into(),
            tag: case["tag"].as_str().unwrap().into(),
            inputs: case["inputs"].clone(),
            params: case["params"].clone(),
            outputs: case["outputs"].clone(),
        }
    }

    /// Number of rows of an input.
    pub(crate) fn rows(&self, name: &str) -> usize {
        self.inputs[name].as_array().map_or(0, Vec::len)
    }

    pub(crate) fn row(&self, name: &str, i: usize) -> Value {
        self.inputs[name][i].clone()
    }

    pub(crate) fn number(&self, name: &str, default: f64) -> f64 {
        self.params[name].as_f64().unwrap_or(default)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.params[name].as_str().unwrap_or("")
    }

    pub(crate) fn expected(&self, path: &[&str]) -> Value {
        path.iter().fold(&self.outputs, |value, name| &value[*name]).clone()
    }
}

pub(crate) fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

impl Translated {
    pub(crate) fn answer(&self) -> Value {
        serde_json::from_str(&tdrm_calc::line(&self.request.to_string())).unwrap()
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let answer = self.answer();
        if let Some(error) = answer.get("error") {
            return Err(format!("{error} for {}", self.request));
        }
        self.expected.iter().try_for_each(|(field, expected)| compare(field, &answer[*field], expected))
    }
}

fn compare(path: &str, ours: &Value, theirs: &Value) -> Result<(), String> {
    match (ours, theirs) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().try_for_each(|(i, (a, b))| compare(&format!("{path}[{i}]"), a, b))
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            let close = (a - b).abs() <= ABSOLUTE + RELATIVE * b.abs();
            if close { Ok(()) } else { Err(format!("{path}: ours {a:e}, theirs {b:e}, off by {:e}", (a - b) / b)) }
        }
        _ => Err(format!("{path}: ours {ours}, theirs {theirs}")),
    }
}

/// Removes what is null, so that optional fields can be written inline.
pub(crate) fn without_nulls(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}
