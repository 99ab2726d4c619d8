//! Value targets: rewards, discounts and values in, regression targets out.

use crate::{Real, Steps};

/// Turns a trajectory into regression targets `G_0 … G_{T−1}` for its values.
///
/// # Contract
/// Pure and total: any [`Steps`] gives exactly `T` numbers, without error, panic or allocation beyond `out`.
/// A discount of 0 cuts the future off; if the last discount is not 0 the target bootstraps from `v(s_T)`.
///
/// # Laws
/// `tdrm_testkit::laws::value_target` checks for any implementation: length, determinism, that a contaminated
/// `out` changes nothing, that what follows a zero discount changes nothing before it, and that scaling rewards
/// and values by `c` scales the targets by `c` (for targets that declare themselves linear).
pub trait ValueTarget<F: Real> {
    /// Replaces the contents of `out` by one target per transition, `[T]`.
    fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>);

    /// The targets in a fresh vector, `[T]`.
    fn targets(&self, steps: Steps<'_, F>) -> Vec<F> {
        let mut out = Vec::new();
        self.targets_into(steps, &mut out);
        out
    }
}

const _: fn(&dyn ValueTarget<f64>) = |_| {};

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<F: Real, T: ValueTarget<F> + ?Sized> ValueTarget<F> for $pointer {
            fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
                (**self).targets_into(steps, out);
            }
        }
    )*};
}
forward!(&T, Box<T>, std::sync::Arc<T>);
