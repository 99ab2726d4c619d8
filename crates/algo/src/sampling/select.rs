//! Order statistics by selection: what a filter needs to know of an order without sorting.

use std::cmp::Ordering;

/// Leaves the k largest values in the buffer, in no order except that the k-th comes last; all if there are fewer.
///
/// One comparison for most values: the buffer holds at most about 2k of them, and the k-th so far is the bar.
pub(super) fn top<T: Copy + PartialOrd>(values: impl IntoIterator<Item = T>, k: usize, buffer: &mut Vec<T>) {
    let full = k.saturating_mul(2).saturating_add(64);
    let mut bar = None;
    buffer.clear();
    for value in values {
        if bar.is_none_or(|bar| value > bar) {
            buffer.push(value);
            if buffer.len() == full {
                bar = cut(buffer, k);
            }
        }
    }
    cut(buffer, k);
}

/// Drops all but the k largest and returns the least of them, unless there are fewer.
fn cut<T: Copy + PartialOrd>(buffer: &mut Vec<T>, k: usize) -> Option<T> {
    let last = k.checked_sub(1).filter(|&last| last < buffer.len())?;
    let descending = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(Ordering::Equal);
    let kth = *buffer.select_nth_unstable_by(last, descending).1;
    buffer.truncate(k);
    Some(kth)
}

/// Key by which `(value, at)` are in ascending order of value, then of position; the position is its lower half.
pub(super) fn key(value: f32, at: usize) -> u64 {
    let bits = (value + 0.0).to_bits(); // −0 becomes 0
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | at as u64
}

/// Position of a key.
pub(super) fn position(key: u64) -> usize {
    (key & u64::from(u32::MAX)) as usize
}

/// The first key in ascending order at which `start` plus the weights so far passes, or the last key if none does.
///
/// `passes` must be monotone. Linear in the number of keys: the half that does not hold the crossing is dropped each time.
pub(super) fn first_passing(
    mut keys: &mut [u64],
    start: f64,
    weight: impl Fn(usize) -> f64,
    passes: impl Fn(f64) -> bool,
) -> Option<u64> {
    let mut sum = start;
    while keys.len() > 1 {
        let middle = keys.len() / 2;
        keys.select_nth_unstable(middle);
        let (low, high) = keys.split_at_mut(middle);
        let with_low = sum + low.iter().map(|&key| weight(position(key))).sum::<f64>();
        if passes(with_low) {
            keys = low;
        } else {
            (sum, keys) = (with_low, high);
        }
    }
    keys.first().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_top_is_that_of_the_sorted_values_with_the_least_at_its_end(
            values in prop::collection::vec(-20i8..20, 1..400), k in 1usize..500,
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(|a, b| b.cmp(a));
            sorted.truncate(k);
            let mut found = Vec::new();
            top(values, k, &mut found);
            prop_assert!(sorted.len() < k || found.last() == sorted.last());
            found.sort_by(|a, b| b.cmp(a));
            prop_assert_eq!(found, sorted);
        }

        #[test]
        fn the_crossing_is_that_of_the_running_sum(
            items in prop::collection::vec((-9i8..9, 0u8..9), 1..80), target in 0u16..400,
        ) {
            let mut keys: Vec<u64> = items.iter().enumerate().map(|(at, item)| key(f32::from(item.0), at)).collect();
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            let weight = |at: usize| f64::from(items[at].1);
            let mut sum = 3.0;
            let passing = sorted.iter().find(|&&key| { sum += weight(position(key)); sum >= f64::from(target) });
            let expected = passing.or(sorted.last()).copied();
            prop_assert_eq!(first_passing(&mut keys, 3.0, weight, |sum| sum >= f64::from(target)), expected);
        }
    }

    #[test]
    fn keys_are_in_the_order_of_values_then_positions() {
        let in_order = [(-2.5, 9), (-1.0, 3), (-0.0, 1), (0.0, 2), (0.5, 0), (0.5, 7), (3.0, 1)];
        let keys: Vec<u64> = in_order.iter().map(|&(value, at)| key(value, at)).collect();
        assert!(keys.is_sorted());
        assert_eq!(position(keys[5]), 7);
    }
}
