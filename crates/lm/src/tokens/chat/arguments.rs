//! Arguments of Python calls: by place or by name.

use minijinja::value::{Kwargs, from_args};
use minijinja::{Error, ErrorKind, Value};

use super::python::wrong;

/// The arguments of one call, in the order of the parameters.
#[derive(Debug)]
pub(super) struct Arguments(Vec<Option<Value>>);

impl Arguments {
    /// Sorts `args` to the parameters `names`.
    pub(super) fn read(args: &[Value], names: &[&str]) -> Result<Self, Error> {
        let (placed, named): (&[Value], Kwargs) = from_args(args)?;
        if placed.len() > names.len() {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        let mut values: Vec<Option<Value>> = placed.iter().cloned().map(Some).collect();
        for name in &names[placed.len()..] {
            values.push(if named.has(name) { Some(named.get(name)?) } else { None });
        }
        named.assert_all_used()?;
        Ok(Self(values))
    }

    /// The argument of a parameter, if it was given.
    pub(super) fn get(&self, place: usize) -> Option<&Value> {
        self.0.get(place).and_then(Option::as_ref)
    }

    /// The argument of a parameter that must be given.
    pub(super) fn need(&self, place: usize) -> Result<&Value, Error> {
        self.get(place).ok_or_else(|| Error::from(ErrorKind::MissingArgument))
    }

    /// A string that must be given.
    pub(super) fn text(&self, place: usize) -> Result<&str, Error> {
        let value = self.need(place)?;
        value.as_str().ok_or_else(|| wrong(format!("expected a string, got {}", value.kind())))
    }

    /// A string, or `None` where it is not given or none.
    pub(super) fn text_or_none(&self, place: usize) -> Result<Option<&str>, Error> {
        match self.get(place) {
            None => Ok(None),
            Some(value) if value.is_none() => Ok(None),
            Some(_) => self.text(place).map(Some),
        }
    }

    /// An integer, or `None` where it is not given or none.
    pub(super) fn integer(&self, place: usize) -> Result<Option<i64>, Error> {
        match self.get(place) {
            None => Ok(None),
            Some(value) if value.is_none() => Ok(None),
            Some(value) => i64::try_from(value.clone()).map(Some),
        }
    }

    /// Whether a flag is given and true.
    pub(super) fn flag(&self, place: usize) -> bool {
        self.get(place).is_some_and(Value::is_true)
    }
}
