//! Exact algebra: quotients of polynomials with rational coefficients over interned atoms.
//!
//! Everything that can be written as an answer becomes a quotient `num / den` of sums of terms `c · Π aᵉ`, where `c` is
//! rational, the atoms `a` are variables, constants, radicals and function values, and the exponents `e` are rational.
//! Relations of the atoms (`i² = −1`, `(√2)² = 2`, `(±1)² = 1`) are applied at once, so that many equal expressions
//! have the same form, and the difference of two forms is the empty sum.

mod atom;
mod expr;
mod function;
mod poly;
mod power;
mod print;
mod substitute;

pub(crate) use atom::{Atom, AtomId, Func};
pub(crate) use expr::Expr;
pub(crate) use poly::Poly;

use crate::fuel::{Fuel, Run};

/// The atoms of one comparison, each once, and the fuel that everything pays with.
#[derive(Debug, Clone)]
pub(crate) struct Algebra {
    atoms: Vec<Atom>,
    pub(crate) fuel: Fuel,
}

impl Algebra {
    pub(crate) fn new(fuel: Fuel) -> Self {
        let mut atoms = Vec::with_capacity(24);
        atoms.extend(Atom::FIXED);
        Self { atoms, fuel }
    }

    pub(crate) fn atom(&self, id: AtomId) -> &Atom {
        &self.atoms[id as usize]
    }

    /// The number of an atom; equal atoms have equal numbers.
    pub(crate) fn intern(&mut self, atom: Atom) -> Run<AtomId> {
        if let Some(at) = self.atoms.iter().position(|a| *a == atom) {
            self.fuel.spend(1 + at as u64 / 16)?;
            return Ok(at as AtomId);
        }
        self.fuel.spend(2 + self.atoms.len() as u64 / 8)?;
        self.atoms.push(atom);
        Ok((self.atoms.len() - 1) as AtomId)
    }

    /// The expression that is one atom.
    pub(crate) fn single(&mut self, atom: Atom) -> Run<Expr> {
        Ok(Expr::atom(self.intern(atom)?))
    }

    /// A variable or name.
    pub(crate) fn symbol(&mut self, name: &str) -> Run<Expr> {
        self.single(Atom::Sym(name.into()))
    }
}
