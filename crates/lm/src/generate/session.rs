//! A tree of continuations in one cache.

use super::{Cache, Decoder};
use crate::ops::on_pool;
use crate::{LmError, Model};

/// A sequence in a [`Session`]. A branch that was closed stays invalid when its place is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Branch {
    slot: usize,
    stamp: u64,
}

/// Sequences that grow, fork and end: what a search over a language model needs.
///
/// The tokens of a branch run once. A fork copies the cache; a new branch copies the longest beginning that any other
/// branch holds, an ended one too as long as its place is free.
///
/// ```
/// # fn search(model: &tdrm_lm::Model) -> Result<(), tdrm_lm::LmError> {
/// use tdrm_lm::Session;
///
/// let mut session = Session::new(model, 2, 16)?;
/// let left = session.open(&[1, 2, 3])?;
/// let right = session.fork(left)?;
/// session.extend(&[(left, &[4]), (right, &[5, 6])])?;
/// assert_eq!(session.tokens(right)?, [1, 2, 3, 5, 6]);
/// let logits = session.logits(left)?; // after token 4
/// # let _ = logits;
/// session.close(right)
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    /// For each slot: the open branch's stamp and logits.
    open: Vec<Option<(u64, Vec<f32>)>>,
    stamp: u64,
}

impl Session {
    /// Room for `branches` sequences of up to `capacity` tokens. Later changes of the model's weights do not reach it.
    ///
    /// # Errors
    /// If the room is none, `capacity` exceeds the model's longest sequence, or the model has no language-model head.
    pub fn new(model: &Model, branches: usize, capacity: usize) -> Result<Self, LmError> {
        let longest = model.config().longest();
        if branches == 0 {
            return Err(LmError::setting("branches", "at least 1", branches));
        }
        if !(1..=longest).contains(&capacity) {
            return Err(LmError::setting("capacity", format!("1 to {longest} tokens"), capacity));
        }
        Ok(Self { decoder: Decoder::new(model, branches, capacity)?, open: vec![None; branches], stamp: 0 })
    }

    /// Bytes of the cache of such a session.
    #[must_use]
    pub fn cache_bytes(model: &Model, branches: usize, capacity: usize) -> usize {
        Cache::bytes(model, branches, capacity)
    }

    /// Branches that can still be opened.
    #[must_use]
    pub fn free(&self) -> usize {
        self.open.iter().filter(|slot| slot.is_none()).count()
    }

    /// Begins a branch with these tokens.
    ///
    /// # Errors
    /// If there is no room, or the tokens are none, too many or outside the vocabulary.
    pub fn open(&mut self, tokens: &[u32]) -> Result<Branch, LmError> {
        self.decoder.model().config().limits().check(0, tokens)?;
        self.check_room(0, tokens.len())?;
        let slot = self.vacant(tokens)?;
        self.decoder.keep(slot, tokens);
        self.decoder.reuse(slot, tokens)?;
        let held = self.decoder.held(slot).len();
        let logits = self.run(&[(slot, &tokens[held..])])?;
        Ok(self.occupy(slot, logits))
    }

    /// Appends at least one token to each of these branches, in one pass.
    ///
    /// # Errors
    /// If a branch is not open or comes twice, or its tokens are none, too many or outside the vocabulary; nothing has
    /// changed then.
    pub fn extend(&mut self, parts: &[(Branch, &[u32])]) -> Result<(), LmError> {
        let mut rows = Vec::with_capacity(parts.len());
        for (i, &(branch, tokens)) in parts.iter().enumerate() {
            let slot = self.slot(branch)?;
            if rows.iter().any(|(other, _)| *other == slot) {
                return Err(LmError::setting("branches", "each branch once", format!("{branch:?} twice")));
            }
            self.decoder.model().config().limits().check(i, tokens)?;
            self.check_room(i, self.decoder.held(slot).len() + tokens.len())?;
            rows.push((slot, tokens));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let logits = self.run(&rows)?;
        for ((slot, _), row) in rows.iter().zip(logits.chunks_exact(logits.len() / rows.len())) {
            if let Some((_, logits)) = &mut self.open[*slot] {
                logits.copy_from_slice(row);
            }
        }
        Ok(())
    }

    /// A second branch with the same tokens.
    ///
    /// # Errors
    /// If the branch is not open or there is no room.
    pub fn fork(&mut self, branch: Branch) -> Result<Branch, LmError> {
        let from = self.slot(branch)?;
        let tokens = self.decoder.held(from).to_vec();
        let slot = self.vacant(&tokens)?;
        self.decoder.copy(from, slot)?;
        let logits = self.logits(branch)?.to_vec();
        Ok(self.occupy(slot, logits))
    }

    /// Ends a branch.
    ///
    /// # Errors
    /// If it is not open.
    pub fn close(&mut self, branch: Branch) -> Result<(), LmError> {
        let slot = self.slot(branch)?;
        self.open[slot] = None;
        Ok(())
    }

    /// Logits of the token after a branch, `[V]`.
    ///
    /// # Errors
    /// If the branch is not open.
    pub fn logits(&self, branch: Branch) -> Result<&[f32], LmError> {
        let slot = self.slot(branch)?;
        Ok(self.open[slot].as_ref().map_or(&[], |(_, logits)| logits))
    }

    /// Tokens of a branch.
    ///
    /// # Errors
    /// If the branch is not open.
    pub fn tokens(&self, branch: Branch) -> Result<&[u32], LmError> {
        Ok(self.decoder.held(self.slot(branch)?))
    }

    /// Appends tokens; returns the logits after the last one of each part, `[parts, V]`.
    fn run(&mut self, parts: &[(usize, &[u32])]) -> Result<Vec<f32>, LmError> {
        on_pool(|| {
            let hidden = self.decoder.append(parts)?;
            self.decoder.logits(&hidden)
        })
    }

    fn slot(&self, branch: Branch) -> Result<usize, LmError> {
        match self.open.get(branch.slot) {
            Some(Some((stamp, _))) if *stamp == branch.stamp => Ok(branch.slot),
            _ => Err(LmError::setting("branch", "an open branch of this session", format!("{branch:?}"))),
        }
    }

    /// A free slot, the one that holds most of these tokens.
    fn vacant(&self, tokens: &[u32]) -> Result<usize, LmError> {
        let held = |slot: usize| self.decoder.held(slot).iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let free = (0..self.open.len()).filter(|&slot| self.open[slot].is_none());
        let full = || LmError::setting("branches", format!("at most {} open", self.open.len()), self.open.len() + 1);
        free.max_by_key(|&slot| held(slot)).ok_or_else(full)
    }

    fn occupy(&mut self, slot: usize, logits: Vec<f32>) -> Branch {
        self.stamp += 1;
        self.open[slot] = Some((self.stamp, logits));
        Branch { slot, stamp: self.stamp }
    }

    fn check_room(&self, sequence: usize, got: usize) -> Result<(), LmError> {
        let capacity = self.decoder.capacity();
        if got <= capacity {
            return Ok(());
        }
        let expected = format!("at most {capacity} tokens");
        Err(LmError::Sequence { sequence, what: "length of a branch", expected, got })
    }
}
