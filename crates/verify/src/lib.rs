//! Verifiers of answers: exact arithmetic, canonical forms, bounded work.
