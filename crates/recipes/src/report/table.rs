//! Tables of estimates.

use serde::{Deserialize, Serialize};

/// A number with an interval around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Point estimate.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// A number without uncertainty.
    #[must_use]
    pub const fn exact(x: f64) -> Self {
        Self { mean: x, low: x, high: x }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number with this many decimals.
    Number(f64, usize),
    /// A number with its interval, with this many decimals.
    Interval(Estimate, usize),
    /// Not measured.
    Missing,
}

impl Cell {
    /// The cell as text; a number that is not finite is shown as such.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(s) => s.clone(),
            Self::Number(x, digits) => format!("{x:.digits$}"),
            Self::Interval(e, digits) => format!("{:.digits$} [{:.digits$}, {:.digits$}]", e.mean, e.low, e.high),
            Self::Missing => "-".to_owned(),
        }
    }

    pub(super) const fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What the row is about.
    pub label: String,
    /// One cell per column.
    pub cells: Vec<Cell>,
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub note: String,
    /// Heading of the labels, then of each column.
    pub columns: Vec<String>,
    /// Rows in order.
    pub rows: Vec<Row>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(title: &str, note: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&c| c.to_owned()).collect();
        Self { title: title.to_owned(), note: note.to_owned(), columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, label: impl Into<String>, cells: Vec<Cell>) {
        self.rows.push(Row { label: label.into(), cells });
    }

    /// The table as aligned plain text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let header: Vec<String> = self.columns.clone();
        let body = self.rows.iter().map(|row| {
            std::iter::once(row.label.clone()).chain(row.cells.iter().map(Cell::to_text)).collect::<Vec<_>>()
        });
        let lines: Vec<Vec<String>> = std::iter::once(header).chain(body).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|c| lines.iter().filter_map(|l| l.get(c)).map(|s| s.chars().count()).max().unwrap_or(0))
            .collect();
        let text = lines.iter().map(|cells| aligned(cells, &widths)).collect::<Vec<_>>().join("\n");
        let note = if self.note.is_empty() { String::new() } else { format!("\n  {}", self.note) };
        format!("{}{note}\n{text}", self.title)
    }
}

/// Labels to the left, numbers to the right.
fn aligned(cells: &[String], widths: &[usize]) -> String {
    let padded = cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(c, (cell, &width))| if c == 0 { format!("  {cell:<width$}") } else { format!("{cell:>width$}") });
    padded.collect::<Vec<_>>().join("   ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new("Accuracy", "", &["arm", "N=1", "N=16"]);
        table.push("a", vec![Cell::Number(0.5, 2), Cell::Missing]);
        let e = Estimate { mean: 0.25, low: 0.125, high: 0.5 };
        table.push("longer", vec![Cell::Number(1.0, 2), Cell::Interval(e, 3)]);
        let text = table.to_text();
        let expected = "Accuracy\n  arm       N=1                   N=16\n  a        0.50                      -\n  longer   1.00   0.250 [0.125, 0.500]";
        assert_eq!(text, expected);
    }
}
