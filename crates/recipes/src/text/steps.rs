//! Cutting responses into steps by line.

use serde::{Deserialize, Serialize};

/// A sampled response with its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// Tokens of the response, the stop token included where there is one.
    pub tokens: Vec<u32>,
    /// log π of each token under the policy that drew it.
    pub log_probs: Vec<f32>,
    /// Where each step ends (exclusive), in tokens of the response.
    pub step_ends: Vec<usize>,
    /// Whether the response ended by itself.
    pub stopped: bool,
}

/// Where each step ends: after each `separator`. A `stop` token right after the last separator belongs to the last
/// step; anything else that follows it is a step of its own. Empty for an empty response.
///
/// ```
/// use tdrm_recipes::text::step_ends;
/// // "ab|c|." with separator `|` = 9 and stop `.` = 0
/// assert_eq!(step_ends(&[1, 2, 9, 3, 9, 0], 9, 0), [3, 6]);
/// ```
#[must_use]
pub fn step_ends(tokens: &[u32], separator: u32, stop: u32) -> Vec<usize> {
    let mut ends: Vec<_> = tokens.iter().enumerate().filter(|(_, t)| **t == separator).map(|(i, _)| i + 1).collect();
    let rest = &tokens[ends.last().copied().unwrap_or(0)..];
    match ends.last_mut() {
        Some(last) if rest == [stop] => *last = tokens.len(),
        _ if !rest.is_empty() => ends.push(tokens.len()),
        _ => {}
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_tile_the_response() {
        assert_eq!(step_ends(&[], 9, 0), [0; 0]);
        assert_eq!(step_ends(&[0], 9, 0), [1]);
        assert_eq!(step_ends(&[9, 0], 9, 0), [2]);
        assert_eq!(step_ends(&[1, 9, 2, 9], 9, 0), [2, 4]);
    }

    #[test]
    fn a_step_that_was_cut_off_is_a_step() {
        assert_eq!(step_ends(&[1, 2], 9, 0), [2]);
        assert_eq!(step_ends(&[1, 9, 2, 9, 3], 9, 0), [2, 4, 5]);
        assert_eq!(step_ends(&[1, 9, 3, 0], 9, 0), [2, 4]);
    }
}
