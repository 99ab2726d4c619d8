//! What is launched.

use crate::{ShapeError, error};

/// The type of weights and activations on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
}

/// The type of an operand's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// That of weights and activations.
    Element,
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
    /// 32-bit integers.
    U32,
}

/// What a kernel does with an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it, and may read it.
    Write,
}

/// An operand of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// Type of its elements.
    pub kind: Kind,
    /// What is done with it.
    pub access: Access,
    /// Elements that it must have.
    pub len: usize,
}

/// An argument that is passed by its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// 32 bits, signed.
    Int(i32),
    /// 64 bits, signed.
    Long(i64),
    /// 32-bit float.
    Float(f32),
    /// Numbers of heads and their rotation: H, K, D, rotated pairs, positions of the table of angles, and 1 where
    /// neighbouring coordinates are rotated together, else 0.
    Heads([i32; 6]),
}

impl Scalar {
    /// The bytes that a kernel sees.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Int(x) => x.to_ne_bytes().to_vec(),
            Self::Long(x) => x.to_ne_bytes().to_vec(),
            Self::Float(x) => x.to_ne_bytes().to_vec(),
            Self::Heads(heads) => heads.map(i32::to_ne_bytes).concat(),
        }
    }
}

/// All kernels, by the names that they have in `kernels.cu`.
pub(super) const KERNELS: [&str; 13] = [
    "add_bias",
    "rms_norm",
    "add_rms_norm",
    "norm_heads",
    "swiglu",
    "score_rows",
    "append",
    "attend_rows",
    "attend_parts",
    "join_parts",
    "attend_tiles",
    "adamw",
    "squares",
];

/// A kernel, the blocks that run it, its operands and the values that follow them. Only this crate makes and changes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    pub(super) kernel: &'static str,
    pub(super) grid: [u32; 3],
    pub(super) threads: u32,
    pub(super) shared: u32,
    pub(super) operands: Vec<Operand>,
    pub(super) scalars: Vec<Scalar>,
}

impl Launch {
    pub(super) fn new(kernel: &'static str, grid: [usize; 3], threads: u32, shared: u32) -> Result<Self, ShapeError> {
        debug_assert!(KERNELS.contains(&kernel), "{kernel} is not among the kernels");
        let [x, y, z] = grid;
        let short = |blocks: usize| error::at_least("blocks that a launch may have", blocks, 0xffff);
        short(y)?;
        short(z)?;
        let grid = [int("blocks", x)? as u32, y as u32, z as u32];
        Ok(Self { kernel, grid, threads, shared, operands: Vec::new(), scalars: Vec::new() })
    }

    fn operand(mut self, kind: Kind, access: Access, len: usize) -> Self {
        self.operands.push(Operand { kind, access, len });
        self
    }

    pub(super) fn reads(self, kind: Kind, len: usize) -> Self {
        self.operand(kind, Access::Read, len)
    }

    pub(super) fn writes(self, kind: Kind, len: usize) -> Self {
        self.operand(kind, Access::Write, len)
    }

    pub(super) fn with<const N: usize>(mut self, scalars: [Scalar; N]) -> Self {
        self.scalars.extend(scalars);
        self
    }

    /// Name of the kernel.
    #[must_use]
    pub fn kernel(&self) -> &'static str {
        self.kernel
    }

    /// Blocks; nothing runs where a number is 0.
    #[must_use]
    pub fn grid(&self) -> [u32; 3] {
        self.grid
    }

    /// Threads of a block, whole warps.
    #[must_use]
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// Bytes of shared memory of a block.
    #[must_use]
    pub fn shared(&self) -> u32 {
        self.shared
    }

    /// The operands, in their order.
    #[must_use]
    pub fn operands(&self) -> &[Operand] {
        &self.operands
    }

    /// The values that follow them, in their order.
    #[must_use]
    pub fn scalars(&self) -> &[Scalar] {
        &self.scalars
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grid.contains(&0)
    }
}

/// A size as the kernels have it.
pub(super) fn int(what: &'static str, size: usize) -> Result<i32, ShapeError> {
    i32::try_from(size).map_err(|_| ShapeError { what, expected: i32::MAX as usize, got: size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_that_is_written_is_known() {
        let sources = [
            include_str!("adamw.cuh"),
            include_str!("attention.cuh"),
            include_str!("rows.cuh"),
            include_str!("tiles.cuh"),
        ];
        let names = |source: &'static str| {
            let after = source.split("extern \"C\" __global__ void ").skip(1);
            after.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name)
        };
        let mut written: Vec<&str> = sources.into_iter().flat_map(names).collect();
        written.sort_unstable();
        // One of them is written for each type.
        written.dedup();
        let mut known = KERNELS.to_vec();
        known.sort_unstable();
        assert_eq!(written, known);
    }
}
