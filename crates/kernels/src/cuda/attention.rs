//! Attention over keys that lie in a cache.

use super::launch::{Kind, Launch, Scalar, int};
use crate::attention::Heads;
use crate::decode::Place;
use crate::rope::{Pairs, RopeTable};
use crate::{Rows, ShapeError, error};

/// Widest head, keys that a block meets at once, query heads that it serves: as in `attention.cuh`.
const MAX_DIM: usize = 128;
const CHUNK: usize = 64;
const SERVED: usize = 8;
const ROW_THREADS: u32 = 128;
const ROW_SHARED: u32 = ((SERVED * MAX_DIM + SERVED * CHUNK + 3 * SERVED) * 4) as u32;
/// Rows of a tile, and keys that it meets at once.
const TILE: usize = 32;
const TILE_THREADS: u32 = 128;
/// Fewest rows of a tile, on average, for which tiles pay.
const WORTH: usize = 8;
/// Blocks that keep a GPU busy: twice its multiprocessors.
const BUSY: usize = 264;

/// Whether the kernels can attend with these heads: D is a multiple of 8 up to 128.
#[must_use]
pub fn fits(heads: &Heads) -> bool {
    heads.check().is_ok() && heads.dim.is_multiple_of(8) && heads.dim <= MAX_DIM
}

/// Which rows of a cache each new row sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// First row of its sequence, then its position in it; `[2, n]`.
    index: Vec<u32>,
    /// First row and number of rows of each tile, `[m, 2]`.
    tiles: Vec<u32>,
    longest: usize,
}

impl Seen {
    /// Rows of slots, where each slot has `capacity` rows of the cache.
    #[must_use]
    pub fn places(places: &[Place], capacity: usize) -> Self {
        Self::new(places.iter().map(|place| (place.slot * capacity, place.position)).collect())
    }

    /// All rows of packed sequences; the cache has the rows of the batch.
    #[must_use]
    pub fn packed(rows: &Rows) -> Self {
        let sequence = |i: usize| rows.range(i).map(move |row| (rows.range(i).start, row - rows.range(i).start));
        Self::new((0..rows.sequences()).flat_map(sequence).collect())
    }

    fn new(seen: Vec<(usize, usize)>) -> Self {
        let mut tiles: Vec<[u32; 2]> = Vec::new();
        for (row, &(first, position)) in seen.iter().enumerate() {
            let follows = row > 0 && seen[row - 1] == (first, position.wrapping_sub(1));
            match tiles.last_mut() {
                Some([_, rows]) if follows && (*rows as usize) < TILE => *rows += 1,
                _ => tiles.push([row as u32, 1]),
            }
        }
        let longest = seen.iter().map(|(_, position)| position + 1).max().unwrap_or(0);
        let (first, position): (Vec<u32>, Vec<u32>) = seen.into_iter().map(|(f, p)| (f as u32, p as u32)).unzip();
        Self { index: [first, position].concat(), tiles: tiles.concat(), longest }
    }

    /// Rows, n.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len() / 2
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// First row of each row's sequence, then each row's position, `[2, n]`.
    #[must_use]
    pub fn index(&self) -> &[u32] {
        &self.index
    }

    /// First row and number of rows of each tile, `[m, 2]`, where tiles pay.
    #[must_use]
    pub fn tiles(&self) -> Option<&[u32]> {
        (self.len() >= WORTH * self.tiles.len() / 2).then_some(&self.tiles)
    }
}

/// Rows that attend: qkv `[n, (H+2K)·D]` and a cache kv `[2, room, K·D]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    heads: Heads,
    /// As the kernels have them.
    numbers: [i32; 6],
    /// Elements of the table of angles.
    angles: usize,
    rows: usize,
    tiles: usize,
    longest: usize,
    room: usize,
    window: Option<usize>,
}

impl Attention {
    /// Rows that see what `seen` says of a cache with `room` rows, a window of the last positions where there is one.
    ///
    /// # Errors
    /// If the kernels do not [fit](fits) the heads, the window is empty, or a size exceeds 31 bits.
    pub fn new(
        heads: Heads,
        rope: &RopeTable,
        seen: &Seen,
        room: usize,
        window: Option<usize>,
    ) -> Result<Self, ShapeError> {
        heads.check()?;
        error::same("width of a head modulo 8", 0, heads.dim % 8)?;
        error::at_least("width of a head that the kernels can do", heads.dim, MAX_DIM)?;
        error::at_least("sliding window", 1, window.unwrap_or(1))?;
        // Without rotated pairs the table is empty and every position is in it.
        let positions = if rope.rotated() == 0 { i32::MAX } else { int("positions of the table", rope.positions())? };
        let heads_of = |count| int("heads", count);
        let numbers = [
            heads_of(heads.query)?,
            heads_of(heads.key_value)?,
            heads_of(heads.dim)?,
            heads_of(rope.rotated() / 2)?,
            positions,
            i32::from(rope.pairs() == Pairs::Neighbours),
        ];
        let angles = rope.rotated() * rope.positions();
        let (rows, tiles, longest) = (seen.len(), seen.tiles.len() / 2, seen.longest);
        Ok(Self { heads, numbers, angles, rows, tiles, longest, room, window })
    }

    fn cache(&self) -> usize {
        2 * self.room * self.heads.key_value_width()
    }

    fn inputs(&self, launch: Launch) -> Launch {
        let launch = launch.reads(Kind::Element, self.cache()).reads(Kind::Element, self.rows * self.heads.width());
        launch.reads(Kind::F32, self.angles).reads(Kind::U32, 2 * self.rows)
    }

    fn sizes(&self) -> Result<[Scalar; 2], ShapeError> {
        Ok([Scalar::Int(int("rows", self.rows)?), Scalar::Int(int("rows of the cache", self.room)?)])
    }

    fn reach(&self) -> [Scalar; 2] {
        let window = self.window.and_then(|window| i32::try_from(window).ok()).unwrap_or(i32::MAX);
        [Scalar::Int(window), Scalar::Heads(self.numbers)]
    }

    /// Width of a row of the output, H·D.
    #[must_use]
    pub fn output_width(&self) -> usize {
        self.heads.query_width()
    }

    fn output(&self) -> usize {
        self.rows * self.output_width()
    }

    /// Writes rotated keys, and values, to the cache: kv, qkv, angles `[2, P, R/2]`, index of [`Seen`].
    ///
    /// # Errors
    /// If a size exceeds 31 bits.
    pub fn append(&self) -> Result<Launch, ShapeError> {
        let launch = Launch::new("append", [self.rows, 1, 1], 128, 0)?.writes(Kind::Element, self.cache());
        let launch = launch.reads(Kind::Element, self.rows * self.heads.width()).reads(Kind::F32, self.angles);
        Ok(launch.reads(Kind::U32, 2 * self.rows).with(self.sizes()?).with([Scalar::Heads(self.numbers)]))
    }

    /// Blocks of one part of the keys.
    fn blocks(&self) -> [usize; 2] {
        let group = self.heads.query / self.heads.key_value;
        [self.rows, self.heads.key_value * group.div_ceil(SERVED)]
    }

    /// Parts into which the keys of a row are cut, so that few rows keep a GPU busy.
    #[must_use]
    pub fn parts(&self) -> usize {
        let [x, y] = self.blocks();
        let longest = self.window.map_or(self.longest, |window| window.min(self.longest));
        (BUSY / (x * y).max(1)).min(longest.div_ceil(2 * CHUNK)).max(1)
    }

    /// Attends row by row: kv, qkv, angles, index, o `[n, H·D]`.
    ///
    /// # Errors
    /// If a size exceeds 31 bits.
    pub fn attend_rows(&self) -> Result<Launch, ShapeError> {
        let [x, y] = self.blocks();
        let launch = Launch::new("attend_rows", [x, y, 1], ROW_THREADS, ROW_SHARED)?;
        let launch = self.inputs(launch).writes(Kind::Element, self.output());
        Ok(launch.with(self.sizes()?).with(self.reach()))
    }

    /// Attends row by row to S [parts](Self::parts) of the keys: kv, qkv, angles, index, parts `[n, H, S, D + 2]`.
    ///
    /// # Errors
    /// If a size exceeds 31 bits.
    pub fn attend_parts(&self, parts: usize) -> Result<Launch, ShapeError> {
        let [x, y] = self.blocks();
        let launch = Launch::new("attend_parts", [x, y, parts], ROW_THREADS, ROW_SHARED)?;
        let launch = self.inputs(launch).writes(Kind::F32, self.part_len(parts));
        Ok(launch.with(self.sizes()?).with(self.reach()))
    }

    /// Elements of the parts.
    #[must_use]
    pub fn part_len(&self, parts: usize) -> usize {
        self.rows * self.heads.query * parts * (self.heads.dim + 2)
    }

    /// Joins the parts: parts, o `[n, H·D]`.
    ///
    /// # Errors
    /// If a size exceeds 31 bits.
    pub fn join_parts(&self, parts: usize) -> Result<Launch, ShapeError> {
        let launch = Launch::new("join_parts", [self.rows * self.heads.query, 1, 1], 128, 0)?;
        let launch = launch.reads(Kind::F32, self.part_len(parts)).writes(Kind::Element, self.output());
        Ok(launch.with([Scalar::Int(int("parts", parts)?), Scalar::Int(self.numbers[2])]))
    }

    /// Attends tile by tile: kv, qkv, angles, index, tiles, o `[n, H·D]`.
    ///
    /// # Errors
    /// If a size exceeds 31 bits.
    pub fn attend_tiles(&self) -> Result<Launch, ShapeError> {
        let (dim, depth) = (self.heads.dim, self.heads.dim.next_multiple_of(16));
        // Queries, keys and exponentials in 32 bits; or in 16, with scores and sums in 32: as in `tiles.cuh`.
        let wide = 4 * (2 * TILE * (dim + 1) + TILE * (TILE + 1));
        let narrow = 2 * TILE * (2 * (depth + 8) + TILE + 8) + 4 * TILE * (TILE + 4 + depth + 4);
        let shared = wide.max(narrow);
        let launch = Launch::new("attend_tiles", [self.tiles, self.heads.query, 1], TILE_THREADS, shared as u32)?;
        let launch = self.inputs(launch).reads(Kind::U32, 2 * self.tiles).writes(Kind::Element, self.output());
        Ok(launch.with(self.sizes()?).with(self.reach()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests state exact values")]
    use super::*;

    const HEADS: Heads = Heads { query: 4, key_value: 2, dim: 64 };

    #[test]
    fn tiles_follow_the_sequences() {
        // 40 rows of one sequence are a tile of 32 and one of 8; then 3 rows; 43 rows in 3 tiles are worth it.
        let seen = Seen::packed(&Rows::new([40, 3]).unwrap());
        assert_eq!(seen.tiles(), Some(&[0, 32, 32, 8, 40, 3][..]));
        assert_eq!(&seen.index()[40..44], [40, 40, 40, 0], "the first rows of the last sequence, then positions");
    }

    #[test]
    fn decoding_goes_row_by_row_and_cuts_long_rows() {
        let places: Vec<Place> = (0..4).map(|slot| Place { slot, position: 1023 }).collect();
        let seen = Seen::places(&places, 2048);
        assert_eq!(seen.tiles(), None);
        let rope = RopeTable::new(1e4, 64, 1024).unwrap();
        let attention = |window| Attention::new(HEADS, &rope, &seen, 8192, window).unwrap();
        // 4 rows on 2 heads are 8 blocks of 264; 1024 keys are 8 parts of 128.
        assert_eq!(attention(None).parts(), 8);
        assert_eq!(attention(Some(128)).parts(), 1);
        assert_eq!(attention(None).attend_parts(8).unwrap().grid, [4, 2, 8]);
    }

    #[test]
    fn heads_that_do_not_fit_are_refused() {
        let (rope, seen) = (RopeTable::new(1e4, 64, 8).unwrap(), Seen::places(&[], 8));
        for dim in [12, 256] {
            let heads = Heads { dim, ..HEADS };
            assert!(!fits(&heads) && Attention::new(heads, &rope, &seen, 8, None).is_err(), "{dim}");
        }
        assert!(Attention::new(HEADS, &rope, &seen, 8, Some(0)).is_err());
    }
}
