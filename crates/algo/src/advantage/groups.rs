//! Samples of the same prompt.

use std::collections::HashMap;

/// A partition of samples by group id; ids are any integers, in any order, interleaved too.
///
/// ```
/// use tdrm_algo::advantage::Groups;
/// let groups = Groups::of(&[7, -1, 7]);
/// assert_eq!(groups.iter().map(<[usize]>::to_vec).collect::<Vec<_>>(), [vec![0, 2], vec![1]]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    ids: Vec<i64>,
    members: Vec<Vec<usize>>,
}

impl Groups {
    /// Collects the samples of each id, groups in the order of their first sample.
    #[must_use]
    pub fn of(ids: &[i64]) -> Self {
        let mut slots = HashMap::new();
        let mut groups = Self { ids: vec![], members: vec![] };
        for (sample, &id) in ids.iter().enumerate() {
            let slot = *slots.entry(id).or_insert(groups.ids.len());
            if slot == groups.ids.len() {
                groups.ids.push(id);
                groups.members.push(vec![]);
            }
            groups.members[slot].push(sample);
        }
        groups
    }

    /// Indices of the samples, group by group.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[usize]> {
        self.members.iter().map(Vec::as_slice)
    }

    /// The same with the ids.
    #[must_use]
    pub fn with_ids(&self) -> impl ExactSizeIterator<Item = (i64, &[usize])> {
        self.ids.iter().copied().zip(self.iter())
    }
}
