//! Scratch memory of a thread, kept between calls.

use std::cell::RefCell;
use std::thread::LocalKey;

/// A thread's buffers that are not lent at the moment; nested loans take one each.
pub(crate) type Pool<T> = RefCell<Vec<Vec<T>>>;

thread_local! {
    static BUFFERS: Pool<f32> = const { RefCell::new(Vec::new()) };
}

/// Lends `len` floats of unspecified content to `work`.
pub(crate) fn with<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    lend(&BUFFERS, len, &0.0, work)
}

/// Lends `len` elements of unspecified content from a pool to `work`.
pub(crate) fn lend<T: Clone, R>(
    pool: &'static LocalKey<Pool<T>>,
    len: usize,
    fill: &T,
    work: impl FnOnce(&mut [T]) -> R,
) -> R {
    let mut buffer = pool.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, fill.clone());
    }
    let result = work(&mut buffer[..len]);
    pool.with_borrow_mut(|buffers| buffers.push(buffer));
    result
}

/// Cuts the first `len` elements off `rest`.
#[expect(clippy::mut_mut, reason = "the rest of a slice replaces the slice")]
pub(crate) fn carve<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (head, tail) = std::mem::take(rest).split_at_mut(len);
    *rest = tail;
    head
}
