//! Problems of chained arithmetic.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Addition or subtraction of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `+b`
    Add(u8),
    /// `-b`
    Subtract(u8),
}

impl Operation {
    /// The exact result.
    #[must_use]
    pub const fn apply(self, a: i64) -> i64 {
        match self {
            Self::Add(b) => a + b as i64,
            Self::Subtract(b) => a - b as i64,
        }
    }

    /// The result when the carry (or borrow) of the ones column is forgotten; `None` where there is none.
    #[must_use]
    pub const fn apply_without_carry(self, a: i64) -> Option<i64> {
        let ones = a % 10;
        match self {
            Self::Add(b) if ones + b as i64 % 10 >= 10 => Some(a + b as i64 - 10),
            Self::Subtract(b) if ones < b as i64 % 10 => Some(a - b as i64 + 10),
            _ => None,
        }
    }

    /// The operand b.
    #[must_use]
    pub const fn operand(self) -> u8 {
        match self {
            Self::Add(b) | Self::Subtract(b) => b,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(b) => write!(f, "+{b}"),
            Self::Subtract(b) => write!(f, "-{b}"),
        }
    }
}

/// A first number and the operations to apply to it; all partial results lie in 0..=99.
///
/// ```
/// use tdrm_envs::reasoning::ChainProblem;
/// let problem: ChainProblem = "47+35-18:".parse()?;
/// assert_eq!(problem.partial_results(), [47, 82, 64]);
/// assert_eq!(problem.answer(), 64);
/// assert_eq!(problem.to_string(), "47+35-18:");
/// # Ok::<(), tdrm_envs::reasoning::ChainError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainProblem {
    first: i64,
    operations: Vec<Operation>,
}

impl ChainProblem {
    /// The number the chain starts from.
    #[must_use]
    pub const fn first(&self) -> i64 {
        self.first
    }

    /// The operations in order, at least one.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The true value after 0, 1, … operations, `[K+1]`.
    #[must_use]
    pub fn partial_results(&self) -> Vec<i64> {
        let mut results = vec![self.first];
        let mut value = self.first;
        for op in &self.operations {
            value = op.apply(value);
            results.push(value);
        }
        results
    }

    /// The true final value.
    #[must_use]
    pub fn answer(&self) -> i64 {
        self.operations.iter().fold(self.first, |a, op| op.apply(a))
    }
}

impl fmt::Display for ChainProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.operations.iter().try_for_each(|op| write!(f, "{op}"))?;
        f.write_str(":")
    }
}

impl From<ChainProblem> for String {
    fn from(problem: ChainProblem) -> Self {
        problem.to_string()
    }
}

/// A text is not a problem of this task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The text does not have the form `a+b-c:`.
    #[error("expected a problem like `47+35-18:`, got `{got}`")]
    Syntax {
        /// The text.
        got: String,
    },
    /// A number leaves 0..=99.
    #[error("numbers and partial results must lie in 0..=99, got {got} in `{problem}`")]
    Range {
        /// The number.
        got: i64,
        /// The text.
        problem: String,
    },
    /// The generator's bounds make no sense.
    #[error("expected 1 <= min_operations <= max_operations, got {min} and {max}")]
    Bounds {
        /// Fewest operations.
        min: usize,
        /// Most operations.
        max: usize,
    },
}

impl FromStr for ChainProblem {
    type Err = ChainError;

    fn from_str(text: &str) -> Result<Self, ChainError> {
        let syntax = || ChainError::Syntax { got: text.to_owned() };
        let body = text.strip_suffix(':').ok_or_else(syntax)?;
        let mut rest = body.split_inclusive(['+', '-']).peekable();
        let mut sign = '+';
        let mut numbers = Vec::new();
        while let Some(part) = rest.next() {
            let digits = part.trim_end_matches(['+', '-']);
            let valid = !digits.is_empty() && digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit());
            if !valid || (rest.peek().is_none() && digits.len() != part.len()) {
                return Err(syntax());
            }
            numbers.push((sign, digits.parse::<u8>().map_err(|_| syntax())?));
            sign = if part.ends_with('-') { '-' } else { '+' };
        }
        let ((_, first), operations) = numbers.split_first().filter(|(_, ops)| !ops.is_empty()).ok_or_else(syntax)?;
        let operation = |&(sign, b)| if sign == '-' { Operation::Subtract(b) } else { Operation::Add(b) };
        let problem = Self { first: i64::from(*first), operations: operations.iter().map(operation).collect() };
        match problem.partial_results().into_iter().find(|v| !(0..=99).contains(v)) {
            Some(got) => Err(ChainError::Range { got, problem: text.to_owned() }),
            None => Ok(problem),
        }
    }
}

impl TryFrom<String> for ChainProblem {
    type Error = ChainError;

    fn try_from(text: String) -> Result<Self, ChainError> {
        text.parse()
    }
}

/// Draws problems: a first number and `min_operations..=max_operations` operations, uniform where the range allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainTask {
    /// Fewest operations, at least 1.
    pub min_operations: usize,
    /// Most operations.
    pub max_operations: usize,
}

impl ChainTask {
    /// Draws one problem.
    ///
    /// # Errors
    /// If the bounds are empty or start at 0.
    pub fn sample(&self, rng: &mut dyn Rng) -> Result<ChainProblem, ChainError> {
        let (min, max) = (self.min_operations, self.max_operations);
        if min == 0 || min > max {
            return Err(ChainError::Bounds { min, max });
        }
        let k = rng.random_range(min..=max);
        let first = i64::from(rng.random_range(10..=89_u8));
        let mut value = first;
        let operations = (0..k)
            .map(|_| {
                let op = draw_operation(value, rng);
                value = op.apply(value);
                op
            })
            .collect();
        Ok(ChainProblem { first, operations })
    }
}

/// An operation on `value` that stays in 0..=99.
fn draw_operation(value: i64, rng: &mut dyn Rng) -> Operation {
    let room = 99 - value;
    let add = value < 10 || (room >= 10 && rng.random::<bool>());
    let limit = if add { room } else { value };
    let b = rng.random_range(1..=limit.max(1)) as u8;
    if add { Operation::Add(b) } else { Operation::Subtract(b) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;
    use tdrm_core::Seed;

    use super::*;

    #[test]
    fn a_forgotten_carry_is_off_by_ten() {
        assert_eq!(Operation::Add(35).apply_without_carry(47), Some(72)); // 82 − 10
        assert_eq!(Operation::Subtract(18).apply_without_carry(82), Some(74)); // 64 + 10
        assert_eq!(Operation::Add(31).apply_without_carry(47), None);
        assert_eq!(Operation::Subtract(11).apply_without_carry(82), None);
    }

    #[test]
    fn what_is_not_a_problem_is_named() {
        for bad in ["", ":", "12", "12:", "1+:", "+1:", "1++2:", "1+2", "123+4:", "1*2:", "1+2::", "١+2:"] {
            assert!(matches!(bad.parse::<ChainProblem>(), Err(ChainError::Syntax { .. })), "{bad}");
        }
        let error = "90+20:".parse::<ChainProblem>().unwrap_err().to_string();
        assert_eq!(error, "numbers and partial results must lie in 0..=99, got 110 in `90+20:`");
    }

    #[test]
    fn empty_bounds_are_refused() {
        let task = ChainTask { min_operations: 3, max_operations: 2 };
        assert!(task.sample(&mut Seed::root(0).rng()).is_err());
    }

    proptest! {
        #[test]
        fn problems_round_trip_and_stay_in_range(seed: u64, k in 1usize..8) {
            let task = ChainTask { min_operations: 1, max_operations: k };
            let problem = task.sample(&mut Seed::root(seed).rng()).unwrap();
            prop_assert!(problem.operations().len() <= k);
            prop_assert!(problem.partial_results().iter().all(|v| (0..=99).contains(v)));
            prop_assert_eq!(problem.to_string().parse::<ChainProblem>().unwrap(), problem);
        }
    }
}
