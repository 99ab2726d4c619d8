//! Settings of an environment, as a command line writes them.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::CatalogueError;

/// Settings `key=value`; each is checked by the environment that reads it, and none may be left over.
///
/// ```
/// use tdrm_envs::tabular::Settings;
/// let settings = Settings::parse(["gamma=0.9", "is_slippery=false"])?;
/// assert!(Settings::parse(["gamma"]).is_err());
/// # Ok::<(), tdrm_envs::tabular::CatalogueError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Reads `key=value` pairs.
    ///
    /// # Errors
    /// If one has no `=`, or a key comes twice.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self, CatalogueError> {
        let mut settings = Self::default();
        for pair in pairs {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(CatalogueError::setting(pair, "key=value", "no `=`"));
            };
            if settings.0.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
                return Err(CatalogueError::setting(key, "to be given once", "it twice"));
            }
        }
        Ok(settings)
    }

    /// Takes a setting out, read as `T`; `default` where it is not given.
    pub(super) fn take<T: FromStr>(&mut self, key: &str, expected: &str, default: T) -> Result<T, CatalogueError> {
        Ok(self.take_optional(key, expected)?.unwrap_or(default))
    }

    /// Takes a setting out, if it is given.
    pub(super) fn take_optional<T: FromStr>(&mut self, key: &str, expected: &str) -> Result<Option<T>, CatalogueError> {
        let read = |text: String| text.parse().map_err(|_| CatalogueError::setting(key, expected, &text));
        self.0.remove(key).map(read).transpose()
    }

    /// Takes a number out and checks its range.
    pub(super) fn take_number<T: TryFrom<f64>>(
        &mut self,
        key: &str,
        expected: &str,
        default: T,
    ) -> Result<T, CatalogueError> {
        let Some(x) = self.take_optional::<f64>(key, expected)? else { return Ok(default) };
        T::try_from(x).map_err(|_| CatalogueError::setting(key, expected, &x.to_string()))
    }

    /// Takes a truth value out; Python's spelling is understood too.
    pub(super) fn take_flag(&mut self, key: &str, default: bool) -> Result<bool, CatalogueError> {
        match self.0.remove(key).as_deref() {
            None => Ok(default),
            Some("true" | "True" | "1") => Ok(true),
            Some("false" | "False" | "0") => Ok(false),
            Some(other) => Err(CatalogueError::setting(key, "true or false", other)),
        }
    }

    /// Nothing may be left when the environment is built.
    pub(super) fn finish(self, environment: &str) -> Result<(), CatalogueError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(key) => Err(CatalogueError::UnknownSetting { environment: environment.to_owned(), setting: key }),
        }
    }
}
