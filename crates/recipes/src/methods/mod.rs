//! Published methods as compositions: a file, a page, a test and a row in the table of papers each.

pub mod tdrm;
