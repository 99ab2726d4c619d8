//! Replacing an atom by an expression.

use super::{Algebra, Atom, AtomId, Expr, Poly};
use crate::fuel::Run;

impl Algebra {
    /// True if the atom occurs in the expression or in the arguments of its atoms.
    pub(crate) fn mentions(&self, e: &Expr, atom: AtomId) -> bool {
        e.atoms().any(|a| a == atom || self.atom_mentions(a, atom))
    }

    fn atom_mentions(&self, id: AtomId, atom: AtomId) -> bool {
        match self.atom(id) {
            Atom::Pow(base, exponent) => self.mentions(base, atom) || self.mentions(exponent, atom),
            other => other.parts().iter().any(|e| self.mentions(e, atom)),
        }
    }

    /// The expression with every occurrence of `atom` replaced by `value`.
    pub(crate) fn substitute(&mut self, e: &Expr, atom: AtomId, value: &Expr) -> Run<Expr> {
        if !self.mentions(e, atom) {
            return Ok(e.clone());
        }
        self.fuel.enter()?;
        let num = self.substitute_poly(&e.num, atom, value)?;
        let result = if e.den.is_empty() {
            num
        } else {
            let den = self.substitute_poly(&e.den, atom, value)?;
            self.div(&num, &den)?
        };
        self.fuel.leave();
        Ok(result)
    }

    fn substitute_poly(&mut self, poly: &Poly, atom: AtomId, value: &Expr) -> Run<Expr> {
        let mut sum = Expr::zero();
        for term in poly {
            let mut product = Expr::number(term.coeff.clone());
            for (a, e) in &term.mono {
                let base = self.substitute_atom(*a, atom, value)?;
                let factor = self.pow(&base, &Expr::number(e.clone()))?;
                product = self.mul(&product, &factor)?;
            }
            sum = self.add(&sum, &product)?;
        }
        Ok(sum)
    }

    fn substitute_atom(&mut self, id: AtomId, atom: AtomId, value: &Expr) -> Run<Expr> {
        if id == atom {
            return Ok(value.clone());
        }
        if !self.atom_mentions(id, atom) {
            return Ok(Expr::atom(id));
        }
        match self.atom(id).clone() {
            Atom::Base(base) => self.substitute(&base, atom, value),
            Atom::Pow(base, exponent) => {
                let base = self.substitute(&base, atom, value)?;
                let exponent = self.substitute(&exponent, atom, value)?;
                self.pow(&base, &exponent)
            }
            Atom::Func(f, args) => {
                let args: Run<Vec<Expr>> = args.iter().map(|x| self.substitute(x, atom, value)).collect();
                self.func(f, args?)
            }
            _ => Ok(Expr::atom(id)),
        }
    }
}
