//! Cells of a rectangular map.

use serde::{Deserialize, Serialize};

/// A map that is no rectangle, or lacks what the environment needs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// There is no cell.
    #[error("expected a map with at least one cell, got none")]
    Empty,
    /// Rows differ in length.
    #[error("map row {row}: expected {expected} cells, got {got}")]
    Ragged {
        /// Which row, from 0.
        row: usize,
        /// Cells in the first row.
        expected: usize,
        /// Cells in this one.
        got: usize,
    },
    /// A letter without meaning.
    #[error("map row {row}: expected cells of {expected}, got {got:?}")]
    Letter {
        /// Which row, from 0.
        row: usize,
        /// The letters that have a meaning.
        expected: &'static str,
        /// The letter.
        got: char,
    },
    /// Nowhere to start.
    #[error("expected at least one start cell S in the map, got none")]
    NoStart,
    /// A random map needs room for S and G.
    #[error("expected a random map of at least 2 × 2 cells, got {got} × {got}")]
    Small {
        /// Cells of a side.
        got: usize,
    },
    /// No random map had a path.
    #[error(
        "expected a path from S to G in one of {attempts} maps of {size} × {size} cells, frozen with probability {frozen}, \
         got none"
    )]
    NoPath {
        /// Cells of a side.
        size: usize,
        /// The chance of ice.
        frozen: f64,
        /// Maps drawn.
        attempts: u64,
    },
}

/// A checked rectangle of letters; cell `(row, column)` is state `row · width + column`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Grid {
    cells: Vec<u8>,
    width: usize,
}

impl Grid {
    pub(super) fn new<R: AsRef<str>>(rows: &[R], letters: &'static str) -> Result<Self, MapError> {
        let width = rows.first().map_or(0, |r| r.as_ref().chars().count());
        if width == 0 {
            return Err(MapError::Empty);
        }
        let mut cells = vec![];
        for (row, text) in rows.iter().map(AsRef::as_ref).enumerate() {
            let got = text.chars().count();
            if got != width {
                return Err(MapError::Ragged { row, expected: width, got });
            }
            if let Some(got) = text.chars().find(|c| !letters.contains(*c)) {
                return Err(MapError::Letter { row, expected: letters, got });
            }
            cells.extend(text.bytes());
        }
        Ok(Self { cells, width })
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn letter(&self, cell: usize) -> u8 {
        self.cells[cell]
    }

    /// The cell one move away, (rows down, columns right), held back by the border.
    pub(super) fn moved(&self, cell: usize, (down, right): (isize, isize)) -> usize {
        let height = self.cells.len() / self.width;
        let shift = |at: usize, by: isize, size: usize| at.saturating_add_signed(by).min(size - 1);
        shift(cell / self.width, down, height) * self.width + shift(cell % self.width, right, self.width)
    }

    /// The uniform distribution over cells with this letter.
    pub(super) fn uniform_over(&self, letter: u8) -> Result<Vec<f64>, MapError> {
        let mut weights: Vec<f64> = self.cells.iter().map(|&c| if c == letter { 1.0 } else { 0.0 }).collect();
        let total: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= total;
        }
        if total > 0.0 { Ok(weights) } else { Err(MapError::NoStart) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn moves_stop_at_the_border() {
        let grid = Grid::new(&["abc", "bca"], "abc").unwrap();
        assert_eq!([(-1, 0), (1, 0), (0, -1), (0, 1)].map(|d| grid.moved(0, d)), [0, 3, 0, 1]);
        assert_eq!([(-1, 0), (1, 0), (0, -1), (0, 1)].map(|d| grid.moved(5, d)), [2, 5, 4, 5]);
    }

    #[test]
    fn a_map_that_is_no_rectangle_is_named_by_its_row() {
        assert_eq!(Grid::new(&["ab", "a"], "ab").unwrap_err().to_string(), "map row 1: expected 2 cells, got 1");
        assert_eq!(Grid::new(&["ax"], "ab").unwrap_err().to_string(), "map row 0: expected cells of ab, got 'x'");
        assert_eq!(Grid::new::<&str>(&[], "ab"), Err(MapError::Empty));
    }
}
