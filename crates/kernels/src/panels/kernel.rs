//! The innermost loops of a product with a panel, in explicit vector instructions.
//!
//! The compiler vectorises such loops, but does not reliably keep the sums in registers; that is a factor of two to ten.
//! Every variant adds in the same order, so all rows of a product have the same bits whichever loop they went through.

/// Outputs of a panel: two AVX-512 registers.
pub(crate) const WIDTH: usize = 32;
/// Rows that are multiplied together: 16 sums of 16 lanes with the two registers of a panel.
pub(super) const TILE: usize = 8;

/// A row of a panel.
pub(crate) type Lanes = [f32; WIDTH];

/// The loops for one instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    tile: Loop<TILE>,
    row: Loop<1>,
}

/// `total[m] = Σ_i x[i][m] · panel[i]` for `ROWS` rows.
type Loop<const ROWS: usize> = unsafe fn(&[[f32; ROWS]], &[Lanes], &mut [Lanes; ROWS]);

impl Kernel {
    /// The best that this machine has.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        match crate::simd::level() {
            crate::simd::Level::Avx512 => return Self { tile: avx512::<TILE>, row: avx512::<1> },
            crate::simd::Level::Avx2 => return Self { tile: avx2_tile, row: avx2_row },
            crate::simd::Level::Baseline => {}
        }
        Self { tile: portable::<TILE>, row: portable::<1> }
    }

    /// A tile of rows against one panel.
    #[expect(unsafe_code, reason = "calls a function compiled for more instructions")]
    pub(crate) fn tile(self, x: &[[f32; TILE]], panel: &[Lanes], total: &mut [Lanes; TILE]) {
        // SAFETY: `best` chose the loop after finding the instructions that it is compiled for.
        unsafe { (self.tile)(x, panel, total) }
    }

    /// One row against one panel.
    #[expect(unsafe_code, reason = "calls a function compiled for more instructions")]
    pub(crate) fn row(self, x: &[[f32; 1]], panel: &[Lanes], total: &mut [Lanes; 1]) {
        // SAFETY: as in `tile`.
        unsafe { (self.row)(x, panel, total) }
    }
}

fn portable<const ROWS: usize>(x: &[[f32; ROWS]], panel: &[Lanes], total: &mut [Lanes; ROWS]) {
    use crate::simd::{Baseline, Isa as _};
    *total = [[0.0; WIDTH]; ROWS];
    for (x, w) in x.iter().zip(panel) {
        for (x, total) in x.iter().zip(total.iter_mut()) {
            for (t, w) in total.iter_mut().zip(w) {
                *t = Baseline::madd(*x, *w, *t);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "vector loads and stores take pointers")]
fn avx512<const ROWS: usize>(x: &[[f32; ROWS]], panel: &[Lanes], total: &mut [Lanes; ROWS]) {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps};
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for (x, w) in x.iter().zip(panel) {
        // SAFETY: `w` is 32 floats, two registers of 16.
        let (low, high) = unsafe { (_mm512_loadu_ps(w.as_ptr()), _mm512_loadu_ps(w.as_ptr().add(16))) };
        for m in 0..ROWS {
            let x = _mm512_set1_ps(x[m]);
            sums[m] = [_mm512_fmadd_ps(x, low, sums[m][0]), _mm512_fmadd_ps(x, high, sums[m][1])];
        }
    }
    for (total, [low, high]) in total.iter_mut().zip(sums) {
        // SAFETY: `total` is 32 floats, two registers of 16.
        unsafe {
            _mm512_storeu_ps(total.as_mut_ptr(), low);
            _mm512_storeu_ps(total.as_mut_ptr().add(16), high);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2_row(x: &[[f32; 1]], panel: &[Lanes], total: &mut [Lanes; 1]) {
    avx2::<1, 0, 1>(x, panel, total);
}

/// Two rows at a time: eight sums and four registers of the panel fit into the sixteen that there are.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2_tile(x: &[[f32; TILE]], panel: &[Lanes], total: &mut [Lanes; TILE]) {
    avx2::<TILE, 0, 2>(x, panel, total);
    avx2::<TILE, 2, 2>(x, panel, total);
    avx2::<TILE, 4, 2>(x, panel, total);
    avx2::<TILE, 6, 2>(x, panel, total);
}

/// Rows `FIRST..FIRST + COUNT` of a tile.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "vector loads and stores take pointers")]
fn avx2<const ROWS: usize, const FIRST: usize, const COUNT: usize>(
    x: &[[f32; ROWS]],
    panel: &[Lanes],
    total: &mut [Lanes; ROWS],
) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps};
    let mut sums = [[_mm256_setzero_ps(); 4]; COUNT];
    for (x, w) in x.iter().zip(panel) {
        let mut lanes = [_mm256_setzero_ps(); 4];
        for (r, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: `w` is 32 floats, four registers of 8.
            *lanes = unsafe { _mm256_loadu_ps(w.as_ptr().add(8 * r)) };
        }
        for m in 0..COUNT {
            let x = _mm256_set1_ps(x[FIRST + m]);
            for r in 0..4 {
                sums[m][r] = _mm256_fmadd_ps(x, lanes[r], sums[m][r]);
            }
        }
    }
    for (total, sums) in total[FIRST..FIRST + COUNT].iter_mut().zip(sums) {
        for (r, sum) in sums.into_iter().enumerate() {
            // SAFETY: `total` is 32 floats, four registers of 8.
            unsafe { _mm256_storeu_ps(total.as_mut_ptr().add(8 * r), sum) };
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "tests state exact values")]
mod tests {
    use super::*;

    /// Small integers: every sum is exact, so all variants must agree to the bit with fused and unfused products.
    fn operands() -> (Vec<[f32; TILE]>, Vec<Lanes>) {
        let number = |i: usize| (i * 7 % 13) as f32 - 6.0;
        let x = (0..21).map(|i| std::array::from_fn(|m| number(i * TILE + m)));
        let panel = (0..21).map(|i| std::array::from_fn(|j| number(i * WIDTH + j + 3)));
        (x.collect(), panel.collect())
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "calls each variant that this machine has")]
    fn all_instruction_sets_agree() {
        let (x, panel) = operands();
        let (mut wanted, mut got) = ([[0.0; WIDTH]; TILE], [[1.0; WIDTH]; TILE]);
        portable(&x, &panel, &mut wanted);
        Kernel::best().tile(&x, &panel, &mut got);
        assert_eq!(got, wanted);
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            got = [[1.0; WIDTH]; TILE];
            // SAFETY: the features have just been found.
            unsafe { avx2_tile(&x, &panel, &mut got) };
            assert_eq!(got, wanted);
        }
        let row: Vec<[f32; 1]> = x.iter().map(|x| [x[3]]).collect();
        let mut alone = [[0.0; WIDTH]];
        Kernel::best().row(&row, &panel, &mut alone);
        assert_eq!(alone[0], wanted[3]);
    }
}
