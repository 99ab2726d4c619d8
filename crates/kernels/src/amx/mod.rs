//! Matrix products in the tile registers of AMX (Intel Sapphire Rapids and later).
//!
//! A tile instruction multiplies 16 × 32 by 32 × 16 elements of bfloat16 and adds the products in 32 bits, sixteen times the
//! multiply-adds of AVX-512. A product of 32-bit matrices takes six of them ([`product`]), a product with weights in
//! bfloat16 one ([`linear`](mod@linear)). Every element is one chain of sums over the inner dimension in order, so it does not depend on
//! how many rows and columns are multiplied with it, nor on the number of threads, bit for bit.

mod kernel;
mod linear;
mod pack;
mod product;

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::cell::RefCell;
use std::sync::OnceLock;

pub(crate) use linear::forward;
pub(crate) use product::{is_worth, parallel};

use crate::scratch::{self, Pool};

/// Rows of a tile.
const LINES: usize = 16;
/// Elements of bfloat16 in a row of a tile.
const DEPTH: usize = 32;
/// Rows or columns that are multiplied together: two tiles.
const PANEL: usize = 2 * LINES;

/// A tile in memory.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Tile([u16; LINES * DEPTH]);

impl Tile {
    const ZERO: Self = Self([0; LINES * DEPTH]);
}

thread_local! {
    static ROOM: Pool<Tile> = const { RefCell::new(Vec::new()) };
}

/// Lends tiles of unspecified content to `work`.
fn with_tiles<R>(count: usize, work: impl FnOnce(&mut [Tile]) -> R) -> R {
    scratch::lend(&ROOM, count, &Tile::ZERO, work)
}

/// Whether this machine has the instructions and the kernel lends the registers.
pub(crate) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
            && has_tiles()
            && is_permitted()
    })
}

/// The processor's tiles of bfloat16, saved by the kernel when threads change.
#[expect(unsafe_code, reason = "asks the processor")]
fn has_tiles() -> bool {
    const OS_SAVES: u32 = 1 << 27;
    const TILES_OF_BF16: u32 = 1 << 24 | 1 << 22;
    const TILE_STATE: u64 = 0b11 << 17;
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OS_SAVES == 0 {
        return false;
    }
    // SAFETY: the bit in `OS_SAVES` says that the instruction exists.
    let saved = unsafe { saved_states() };
    __cpuid_count(7, 0).edx & TILES_OF_BF16 == TILES_OF_BF16 && saved & TILE_STATE == TILE_STATE
}

/// The states of registers that the operating system saves.
#[target_feature(enable = "xsave")]
#[expect(unsafe_code, reason = "asks the processor")]
fn saved_states() -> u64 {
    // SAFETY: register 0 exists wherever the instruction does.
    unsafe { _xgetbv(0) }
}

/// Asks Linux for the tile registers, for all threads of this process.
#[expect(unsafe_code, reason = "a system call")]
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: takes two integers and reads no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}
