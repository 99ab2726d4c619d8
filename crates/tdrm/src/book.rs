//! The Rust blocks of the book and of the README, as doctests.
//!
//! `cargo xtask book` sees to it that every page with Rust blocks is here.

macro_rules! pages {
    ($($name:ident = $page:literal),* $(,)?) => {$(
        #[doc = include_str!(concat!("../../../docs/src/", $page))]
        mod $name {}
    )*};
}

#[doc = include_str!("../../../README.md")]
mod readme {}

pages! {
    introduction = "introduction.md",
    search = "search.md",
    testkit = "testkit.md",
    composing = "composing.md",
    checkpoints = "checkpoints.md",
    environments = "environments.md",
    first_steps = "first_steps.md",
}
