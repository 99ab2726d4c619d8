//! Fuel: a bound on work that no clock takes part in.

use tdrm_core::Unparsable;

/// Why reading or comparing stopped early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Steps, memory or depth are used up.
    Fuel,
    /// The text is not an expression.
    Syntax(&'static str),
}

/// Result of anything that may stop early.
pub(crate) type Run<T> = Result<T, Halt>;

/// A counter that every loop pays into.
///
/// One unit is about one token, one node or one limb of a big-number operation: 10–50 ns. Memory is bounded by
/// the same number, because nothing is allocated without paying for it; depth has its own bound.
#[derive(Debug, Clone)]
pub(crate) struct Fuel {
    left: u64,
    limit: u64,
    depth: u32,
}

impl Fuel {
    /// Deepest nesting of expressions that is read.
    pub(crate) const MAX_DEPTH: u32 = 64;

    pub(crate) const fn new(limit: u64) -> Self {
        Self { left: limit, limit, depth: 0 }
    }

    /// Pays `steps`.
    pub(crate) fn spend(&mut self, steps: u64) -> Run<()> {
        if let Some(left) = self.left.checked_sub(steps) {
            self.left = left;
            Ok(())
        } else {
            self.left = 0;
            Err(Halt::Fuel)
        }
    }

    /// Enters one level of nesting; pair with [`Fuel::leave`].
    pub(crate) fn enter(&mut self) -> Run<()> {
        self.depth += 1;
        if self.depth > Self::MAX_DEPTH { Err(Halt::Fuel) } else { self.spend(1) }
    }

    /// Leaves one level of nesting.
    pub(crate) const fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Starts again at depth 0, after a `Halt` has unwound the stack.
    pub(crate) const fn surface(&mut self) {
        self.depth = 0;
    }

    pub(crate) const fn out(&self) -> Unparsable {
        Unparsable::OutOfFuel { limit: self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tank_stays_empty() {
        let mut fuel = Fuel::new(3);
        assert!(fuel.spend(2).is_ok());
        assert_eq!(fuel.spend(2), Err(Halt::Fuel));
        assert_eq!(fuel.spend(1), Err(Halt::Fuel));
    }

    #[test]
    fn nesting_is_bounded_whatever_is_left() {
        let mut fuel = Fuel::new(u64::MAX);
        for _ in 0..Fuel::MAX_DEPTH {
            assert!(fuel.enter().is_ok());
        }
        assert_eq!(fuel.enter(), Err(Halt::Fuel));
    }
}
