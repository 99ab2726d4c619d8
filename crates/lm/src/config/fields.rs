//! Typed access to the fields of a `config.json`.

use serde_json::{Map, Value};

use crate::LmError;

/// Largest size of any one dimension: a hostile file cannot ask for more memory than its tensors have.
const LARGEST: u64 = 1 << 24;

/// A JSON object whose fields are asked for by name; absent and `null` are the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// What stands before a field's name in messages.
    prefix: &'static str,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, prefix: "" }
    }

    /// The field, unless it is absent or `null`.
    pub(crate) fn get(self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// Whether the field is there and `null`.
    pub(crate) fn is_null(self, field: &str) -> bool {
        self.map.get(field).is_some_and(Value::is_null)
    }

    /// An object in a field.
    pub(crate) fn object(self, field: &'static str) -> Result<Option<Fields<'a>>, LmError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let map = value.as_object().ok_or_else(|| self.wrong(field, "an object", value))?;
        Ok(Some(Fields { map, prefix: field }))
    }

    /// A size from 1 to 2²⁴.
    pub(crate) fn size(self, field: &str) -> Result<Option<usize>, LmError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_u64() {
            Some(size @ 1..=LARGEST) => Ok(Some(size as usize)),
            _ => Err(self.wrong(field, "an integer from 1 to 2^24", value)),
        }
    }

    /// A size that must be there.
    pub(crate) fn required_size(self, field: &str) -> Result<usize, LmError> {
        self.size(field)?.ok_or_else(|| LmError::config(&self.name(field), "an integer from 1 to 2^24", "nothing"))
    }

    /// A count, which may be zero.
    pub(crate) fn count(self, field: &str) -> Result<Option<usize>, LmError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_u64() {
            Some(count @ 0..=LARGEST) => Ok(Some(count as usize)),
            _ => Err(self.wrong(field, "an integer from 0 to 2^24", value)),
        }
    }

    /// A finite positive number.
    pub(crate) fn positive(self, field: &str) -> Result<Option<f64>, LmError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_f64() {
            Some(x) if x.is_finite() && x > 0.0 => Ok(Some(x)),
            _ => Err(self.wrong(field, "a positive number", value)),
        }
    }

    /// A positive number that must be there.
    pub(crate) fn required_positive(self, field: &str) -> Result<f64, LmError> {
        self.positive(field)?.ok_or_else(|| LmError::config(&self.name(field), "a positive number", "nothing"))
    }

    /// True or false.
    pub(crate) fn flag(self, field: &str) -> Result<Option<bool>, LmError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(field, "true or false", value))
    }

    /// A text.
    pub(crate) fn text(self, field: &str) -> Result<Option<&'a str>, LmError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(field, "a text", value))
    }

    /// A list of texts.
    pub(crate) fn texts(self, field: &str) -> Result<Option<Vec<&'a str>>, LmError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let texts = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| self.wrong(field, "a list of texts", value))
    }

    /// One token or a list of tokens; negative numbers, which some tools write for "none", are left out.
    pub(crate) fn tokens(self, field: &str) -> Result<Vec<u32>, LmError> {
        let Some(value) = self.get(field) else { return Ok(Vec::new()) };
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let token = |value: &Value| match value.as_i64() {
            Some(token) if token < 0 => Some(None),
            Some(token) => u32::try_from(token).ok().map(Some),
            None => None,
        };
        let tokens: Option<Vec<Option<u32>>> = list.iter().map(token).collect();
        tokens
            .map(|tokens| tokens.into_iter().flatten().collect())
            .ok_or_else(|| self.wrong(field, "a token or a list of tokens", value))
    }

    /// Number of fields.
    pub(crate) fn len(self) -> usize {
        self.map.len()
    }

    /// The error of a field that has the wrong kind of value.
    pub(crate) fn wrong(self, field: &str, expected: &str, got: &Value) -> LmError {
        LmError::config(&self.name(field), expected, got)
    }

    fn name(self, field: &str) -> String {
        if self.prefix.is_empty() { field.to_owned() } else { format!("{}.{field}", self.prefix) }
    }
}
