//! Majority by equivalence, not by spelling.

use tdrm_core::Verdict;

use crate::MathVerifier;
use crate::extract::extract;

/// A class of equivalent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class<A> {
    /// The least member.
    pub representative: A,
    /// Positions of the members in the input, ascending.
    pub members: Vec<usize>,
}

/// Classes of answers under an equivalence, largest first.
///
/// Classes are the connected components of `same`, so that the result does not depend on the order of the answers
/// even where `same` is not transitive (tolerances, left-out marks). Equal sizes are ordered by their least members:
/// among members and classes alike the least answer by `Ord` wins.
///
/// `O(d²)` calls of `same` for `d` distinct answers.
///
/// ```
/// use tdrm_verify::classes;
/// let found = classes(&[1, 12, 3, 2, 11], |a, b| a % 10 == b % 10);
/// let sizes: Vec<_> = found.iter().map(|c| (c.representative, c.members.len())).collect();
/// assert_eq!(sizes, [(1, 2), (2, 2), (3, 1)]);
/// ```
pub fn classes<A: Ord + Clone>(answers: &[A], mut same: impl FnMut(&A, &A) -> bool) -> Vec<Class<A>> {
    let mut distinct: Vec<&A> = answers.iter().collect();
    distinct.sort();
    distinct.dedup();
    let mut root: Vec<usize> = (0..distinct.len()).collect();
    for i in 0..distinct.len() {
        for j in 0..i {
            let (a, b) = (find(&root, i), find(&root, j));
            if a != b && (same(distinct[j], distinct[i]) || same(distinct[i], distinct[j])) {
                // the root of a class is its least member
                root[a.max(b)] = a.min(b);
            }
        }
    }
    let mut classes: Vec<Class<A>> = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        let Ok(at) = distinct.binary_search(&answer) else { continue };
        let representative = distinct[find(&root, at)];
        match classes.iter_mut().find(|c| c.representative == *representative) {
            Some(class) => class.members.push(index),
            None => classes.push(Class { representative: representative.clone(), members: vec![index] }),
        }
    }
    classes.sort_by(|a, b| b.members.len().cmp(&a.members.len()).then_with(|| a.representative.cmp(&b.representative)));
    classes
}

fn find(root: &[usize], mut at: usize) -> usize {
    while root[at] != at {
        at = root[at];
    }
    at
}

/// The largest class of answers; `None` without answers.
pub fn majority<A: Ord + Clone>(answers: &[A], same: impl FnMut(&A, &A) -> bool) -> Option<Class<A>> {
    classes(answers, same).into_iter().next()
}

/// The answer that most responses give, in any notation; responses without an answer do not vote.
///
/// ```
/// use tdrm_verify::{MathVerifier, majority_answer};
/// let responses = [r"\boxed{1/2}", r"\boxed{3}", r"so it is \boxed{0.5}", "I give up on this one", r"\boxed{\frac{2}{4}}"];
/// let vote = majority_answer(&MathVerifier::new(), &responses).unwrap();
/// assert_eq!((vote.representative.as_str(), vote.members), ("0.5", vec![0, 2, 4]));
/// ```
#[must_use]
pub fn majority_answer(verifier: &MathVerifier, responses: &[impl AsRef<str>]) -> Option<Class<String>> {
    let found = responses.iter().enumerate().filter_map(|(i, r)| Some((i, extract(r.as_ref())?.text.into_owned())));
    let (positions, answers): (Vec<usize>, Vec<String>) = found.unzip();
    let mut vote = majority(&answers, |a, b| matches!(verifier.compare(a, b), Verdict::Correct { .. }))?;
    vote.members.iter_mut().for_each(|m| *m = positions[*m]);
    Some(vote)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ties_go_to_the_least_answer() {
        assert_eq!(majority(&["b", "a"], |a, b| a == b).unwrap().representative, "a");
        assert!(majority::<u8>(&[], |_, _| true).is_none());
    }

    #[test]
    fn a_chain_of_near_equals_is_one_class() {
        // 1 ~ 2 ~ 3 but not 1 ~ 3
        let vote = majority(&[3, 9, 1, 2], |a: &i32, b: &i32| (a - b).abs() <= 1).unwrap();
        assert_eq!((vote.representative, vote.members), (1, vec![0, 2, 3]));
    }

    proptest! {
        #[test]
        fn the_winner_does_not_depend_on_the_order(answers in prop::collection::vec(0_u32..30, 1..20), seed in any::<u64>()) {
            let same = |a: &u32, b: &u32| a.abs_diff(*b) <= 1;
            let winner = majority(&answers, same).unwrap();
            let mut shuffled = answers.clone();
            let n = shuffled.len();
            for i in 0..n {
                shuffled.swap(i, (seed.rotate_left(i as u32) % n as u64) as usize);
            }
            let other = majority(&shuffled, same).unwrap();
            prop_assert_eq!((winner.representative, winner.members.len()), (other.representative, other.members.len()));
        }
    }
}
