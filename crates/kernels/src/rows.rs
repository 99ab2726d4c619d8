//! Packed ragged batches.

use std::ops::Range;

use crate::{ShapeError, error};

/// Most groups that a batch is cut into: the width of the parallelism, the same on every machine.
const GROUPS: usize = 8;

/// Where the sequences of a packed batch lie: `[N, d]` rows, sequence after sequence, positions from 0 in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// Starts of the sequences, and N; `[B+1]`.
    offsets: Vec<usize>,
    /// Ranges of sequences that are worked on together; fixed by the lengths alone.
    groups: Vec<Range<usize>>,
    longest: usize,
}

impl Rows {
    /// Packs sequences of these lengths.
    ///
    /// # Errors
    /// If a sequence is empty.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Result<Self, ShapeError> {
        let mut offsets = vec![0];
        let mut longest = 0;
        for length in lengths {
            error::at_least("length of a sequence", 1, length)?;
            longest = longest.max(length);
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        let groups = balanced(&offsets);
        Ok(Self { offsets, groups, longest })
    }

    /// Rows in all, N.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sequences, B.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Length of the longest sequence.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The rows of sequence `i`.
    ///
    /// # Panics
    /// If there is no such sequence.
    #[must_use]
    pub fn range(&self, i: usize) -> Range<usize> {
        self.offsets[i]..self.offsets[i + 1]
    }

    /// Groups of sequences.
    pub(crate) fn groups(&self) -> impl ExactSizeIterator<Item = Group<'_>> {
        self.groups.iter().map(|sequences| Group { offsets: &self.offsets[sequences.start..=sequences.end] })
    }
}

/// Consecutive sequences that one task works on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'a> {
    /// Starts within the batch, and the end.
    offsets: &'a [usize],
}

impl<'a> Group<'a> {
    /// Rows of this group within the batch.
    pub(crate) fn rows(self) -> Range<usize> {
        self.offsets[0]..self.offsets[self.offsets.len() - 1]
    }

    /// Each sequence's rows, counted from the group's first row.
    pub(crate) fn sequences(self) -> impl Iterator<Item = Range<usize>> + 'a {
        let start = self.offsets[0];
        self.offsets.windows(2).map(move |pair| pair[0] - start..pair[1] - start)
    }
}

/// Cuts consecutive sequences into at most [`GROUPS`] groups of about the same number of rows.
fn balanced(offsets: &[usize]) -> Vec<Range<usize>> {
    let (sequences, rows) = (offsets.len() - 1, offsets[offsets.len() - 1]);
    let mut groups = Vec::with_capacity(GROUPS);
    let mut start = 0;
    for g in 1..=GROUPS {
        let goal = (rows * g).div_ceil(GROUPS);
        let end = offsets.partition_point(|&offset| offset < goal).min(sequences);
        if end > start {
            groups.push(start..end);
            start = end;
        }
    }
    groups
}

/// Cuts a `[N, width]` buffer into the groups' parts.
pub(crate) fn split<'a>(rows: &Rows, width: usize, mut buffer: &'a mut [f32]) -> Vec<&'a mut [f32]> {
    rows.groups().map(|group| crate::scratch::carve(&mut buffer, group.rows().len() * width)).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_sequence_is_refused() {
        assert_eq!(Rows::new([3, 0]), Err(ShapeError { what: "length of a sequence", expected: 1, got: 0 }));
    }

    #[test]
    fn an_empty_batch_has_no_group() {
        assert_eq!(Rows::new([]).unwrap().groups().len(), 0);
    }

    proptest! {
        #[test]
        fn groups_cover_every_sequence_once_and_are_balanced(lengths in prop::collection::vec(1_usize..50, 1..100)) {
            let rows = Rows::new(lengths.iter().copied()).unwrap();
            let covered: Vec<usize> = rows.groups.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..lengths.len()).collect::<Vec<_>>());
            let longest = *lengths.iter().max().unwrap();
            for group in rows.groups() {
                prop_assert!(group.rows().len() <= rows.len() / GROUPS + longest + 1);
            }
        }
    }
}
