//! The Jinja environment that `transformers` gives to chat templates.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::python::str_of;
use super::{filters, methods, text_filters};

/// Instructions that one rendering may execute: thousands of messages, and an endless loop ends within seconds.
pub(super) const FUEL: u64 = 20_000_000;

/// The words of a template that called `raise_exception`.
#[derive(Debug)]
pub(super) struct Raised(pub(super) String);

impl fmt::Display for Raised {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// An environment without templates: blocks trimmed on both sides, values written as Python writes them, methods of Python,
/// `raise_exception`, bounded work.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, _, value| out.write_str(&str_of(value)?).map_err(Error::from));
    environment.add_function("raise_exception", |message: Value| -> Result<Value, Error> {
        let message = str_of(&message)?.into_owned();
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
    });
    filters::install(&mut environment);
    text_filters::install(&mut environment);
    Ok(environment)
}
