//! Masks as other programs write them: booleans or 0/1.

use serde::{Deserialize, Deserializer, de::Error};

/// Which tokens take part.
#[derive(Debug)]
pub(crate) struct Mask(Vec<bool>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "mask: true, false, 1 or 0")]
enum Bit {
    Bool(bool),
    Number(f64),
}

impl<'de> Deserialize<'de> for Mask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bits = Vec::<Bit>::deserialize(deserializer)?;
        bits.iter().map(Bit::read).collect::<Result<_, _>>().map(Self).map_err(D::Error::custom)
    }
}

impl Bit {
    fn read(&self) -> Result<bool, String> {
        match *self {
            Self::Bool(bit) => Ok(bit),
            Self::Number(x) if x.total_cmp(&1.0).is_eq() => Ok(true),
            Self::Number(x) if x.abs().total_cmp(&0.0).is_eq() => Ok(false),
            Self::Number(x) => Err(format!("expected a mask of 0 and 1, got {x}")),
        }
    }
}

/// An absent mask is an empty one: everything takes part.
pub(crate) fn slice(mask: Option<&Mask>) -> &[bool] {
    mask.map_or(&[], |Mask(bits)| bits)
}
