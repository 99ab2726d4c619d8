//! A polite request to stop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::RecipeError;

/// A flag that Ctrl-C sets and long work looks at between its units.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the work to stop at its next opportunity.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails if it was asked, naming where the finished stages are.
    ///
    /// # Errors
    /// [`RecipeError::Interrupted`] once [`Stop::request`] was called.
    pub fn check(&self, state: &Path) -> Result<(), RecipeError> {
        if self.is_requested() { Err(RecipeError::Interrupted { state: state.to_owned() }) } else { Ok(()) }
    }
}
