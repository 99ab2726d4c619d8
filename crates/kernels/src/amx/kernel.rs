//! The innermost loops.

use std::arch::asm;
use std::marker::PhantomData;

use super::{DEPTH, LINES, PANEL, Tile};

/// What `ldtilecfg` reads: eight tiles of sixteen rows of 64 bytes.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// The tile registers of this thread, configured until it is dropped.
#[derive(Debug)]
pub(super) struct Tiles(PhantomData<*mut ()>);

impl Tiles {
    /// Takes the registers.
    ///
    /// # Panics
    /// If this machine has none.
    #[expect(unsafe_code, reason = "configures registers")]
    pub(super) fn take() -> Self {
        assert!(super::is_available(), "no tile registers");
        let mut config = Config { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        config.row_bytes[..8].fill(64);
        config.rows[..8].fill(LINES as u8);
        // SAFETY: `is_available` has found the instructions and got the registers; `config` is a valid configuration.
        unsafe { asm!("ldtilecfg [{config}]", config = in(reg) &raw const config, options(nostack, readonly)) };
        Self(PhantomData)
    }
}

impl Drop for Tiles {
    #[expect(unsafe_code, reason = "configures registers")]
    fn drop(&mut self) {
        // SAFETY: `take` has found the instructions.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Where a block of 32 × 32 sums lies: its first element, elements from row to row, and whether the block is added to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums {
    pub(super) first: *mut f32,
    pub(super) row_stride: usize,
    pub(super) add: bool,
}

/// Loads or clears the sums, runs the loop, stores the sums: registers 0 to 3 are the four quarters.
macro_rules! with_sums {
    ($sums:expr, [$($line:literal,)*], $($operand:tt)*) => {{
        let Sums { first, row_stride, add } = $sums;
        let below = first.wrapping_add(LINES * row_stride);
        asm!(
            "test {add}, {add}",
            "jnz 3f",
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "jmp 2f",
            "3:",
            "tileloadd tmm0, [{first} + {row_stride}]",
            "tileloadd tmm1, [{first} + {row_stride} + 64]",
            "tileloadd tmm2, [{below} + {row_stride}]",
            "tileloadd tmm3, [{below} + {row_stride} + 64]",
            "2:",
            $($line,)*
            "tilestored [{first} + {row_stride}], tmm0",
            "tilestored [{first} + {row_stride} + 64], tmm1",
            "tilestored [{below} + {row_stride}], tmm2",
            "tilestored [{below} + {row_stride} + 64], tmm3",
            first = in(reg) first,
            below = in(reg) below,
            row_stride = in(reg) row_stride * size_of::<f32>(),
            add = in(reg) usize::from(add),
            $($operand)*
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }};
}

/// `C = A B` or `C += A B` of 32 × 32 elements, where A and B are sums of three parts each.
///
/// With A = A₁ + A₂ + A₃, of which each part is 2⁻⁸ of the one before, and B likewise:
/// `A B ≈ A₁B₃ + A₁B₁ + A₁B₂ + A₂B₂ + A₂B₁ + A₃B₁`; what is left out is 2⁻²⁶ of the product.
///
/// # Safety
/// `a` and `b` hold six tiles for each of `a.len() / 6` steps; `sums` is valid for 32 × 32 elements.
#[expect(unsafe_code, reason = "tile instructions take pointers")]
pub(super) unsafe fn in_three_parts(_: &Tiles, a: &[Tile], b: &[Tile], sums: Sums) {
    let steps = a.len().min(b.len()) / 6;
    if steps == 0 {
        return;
    }
    // SAFETY: each step reads six tiles of a and of b, which hold that many; the caller vouches for the sums.
    unsafe {
        with_sums!(sums, [
            "tileloadd tmm4, [{a} + {row}]",
            "tileloadd tmm6, [{b} + {row} + 4096]",
            "tileloadd tmm7, [{b} + {row} + 5120]",
            "tileloadd tmm5, [{a} + {row} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm6, [{b} + {row}]",
            "tileloadd tmm7, [{b} + {row} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm6, [{b} + {row} + 2048]",
            "tileloadd tmm7, [{b} + {row} + 3072]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm4, [{a} + {row} + 2048]",
            "tileloadd tmm5, [{a} + {row} + 3072]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm6, [{b} + {row}]",
            "tileloadd tmm7, [{b} + {row} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm4, [{a} + {row} + 4096]",
            "tileloadd tmm5, [{a} + {row} + 5120]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 6144",
            "add {b}, 6144",
            "dec {steps}",
            "jnz 2b",
        ],
            a = inout(reg) a.as_ptr() => _,
            b = inout(reg) b.as_ptr() => _,
            row = in(reg) 64_usize,
            steps = inout(reg) steps => _,
        );
    }
}

/// Two tiles of rows of bfloat16: 32 rows that begin `row_stride` elements apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) first: *const u16,
    pub(super) row_stride: usize,
    /// Elements from one step to the next.
    pub(super) step: usize,
}

impl Left {
    /// Of packed tiles, the upper before the lower one.
    pub(super) fn packed(tiles: &[Tile]) -> Self {
        Self { first: tiles.as_ptr().cast(), row_stride: DEPTH, step: PANEL * DEPTH }
    }
}

/// The loop over the steps of rows of bfloat16 (their upper and lower half at `a` and `lower`, `a_row` bytes apart) and
/// packed tiles at `b`, of which each step has `$tiles`.
macro_rules! by_steps {
    ($a:expr, $b:expr, $tiles:literal, $sums:expr, [$($line:literal,)*]) => {{
        let (a, steps): (Left, usize) = ($a, $b.len() / $tiles);
        if steps == 0 {
            return;
        }
        with_sums!($sums, [
            $($line,)*
            "add {a}, {step}",
            "add {lower}, {step}",
            "add {b}, {tiles}",
            "dec {steps}",
            "jnz 2b",
        ],
            a = inout(reg) a.first => _,
            lower = inout(reg) a.first.wrapping_add(LINES * a.row_stride) => _,
            a_row = in(reg) a.row_stride * size_of::<u16>(),
            step = in(reg) a.step * size_of::<u16>(),
            b = inout(reg) $b.as_ptr() => _,
            tiles = const $tiles * size_of::<Tile>(),
            row = in(reg) 64_usize,
            steps = inout(reg) steps => _,
        );
    }};
}

/// `C = A B` or `C += A B` of 32 × 32 elements.
///
/// # Safety
/// `a` is valid for 32 rows of 32 elements in each of `b.len() / 2` steps, `sums` for 32 × 32 elements.
#[expect(unsafe_code, reason = "tile instructions take pointers")]
pub(super) unsafe fn wide(_: &Tiles, a: Left, b: &[Tile], sums: Sums) {
    // SAFETY: each step reads two tiles of b, which holds that many; the caller vouches for the rest.
    unsafe {
        by_steps!(
            a,
            b,
            2,
            sums,
            [
                "tileloadd tmm4, [{a} + {a_row}]",
                "tileloadd tmm6, [{b} + {row}]",
                "tileloadd tmm7, [{b} + {row} + 1024]",
                "tileloadd tmm5, [{lower} + {a_row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
            ]
        );
    }
}

/// As [`wide`] with sixteen columns: only the left half of the sums is used, and `b` has one tile for each step.
///
/// # Safety
/// As [`wide`], with `b.len()` steps.
#[expect(unsafe_code, reason = "tile instructions take pointers")]
pub(super) unsafe fn narrow(_: &Tiles, a: Left, b: &[Tile], sums: Sums) {
    // SAFETY: each step reads one tile of b, which holds that many; the caller vouches for the rest.
    unsafe {
        by_steps!(
            a,
            b,
            1,
            sums,
            [
                "tileloadd tmm6, [{b} + {row}]",
                "tileloadd tmm4, [{a} + {a_row}]",
                "tileloadd tmm5, [{lower} + {a_row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm2, tmm5, tmm6",
            ]
        );
    }
}
