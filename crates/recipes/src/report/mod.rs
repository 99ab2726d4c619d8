//! Reports: the same content as text for the terminal and as one self-contained HTML file.

mod html;
mod plot;
mod table;

pub use html::to_html;
pub use plot::{Axis, Plot, Series, Style};
pub use table::{Cell, Estimate, Row, Table};

use crate::RecipeError;

/// A part of a report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Section {
    /// Heading.
    pub heading: String,
    /// Paragraphs of plain text.
    pub text: Vec<String>,
    /// Tables, in order.
    pub tables: Vec<Table>,
    /// Plots, in order.
    pub plots: Vec<Plot>,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Title.
    pub title: String,
    /// What was run, as name and value.
    pub facts: Vec<(String, String)>,
    /// Parts, in order.
    pub sections: Vec<Section>,
}

impl Report {
    /// The report as plain text: headings, paragraphs and tables, no plots.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.title.clone(), "=".repeat(self.title.chars().count())];
        lines.extend(self.facts.iter().map(|(name, value)| format!("{name}: {value}")));
        for section in &self.sections {
            lines.push(format!("\n{}\n{}", section.heading, "-".repeat(section.heading.chars().count())));
            lines.extend(section.text.iter().map(|paragraph| wrap(paragraph, 110)));
            lines.extend(section.tables.iter().map(|t| format!("\n{}", t.to_text())));
        }
        lines.join("\n") + "\n"
    }

    /// The report as one HTML file that needs nothing else.
    ///
    /// # Errors
    /// If a plot cannot be drawn.
    pub fn to_html(&self) -> Result<String, RecipeError> {
        to_html(self)
    }
}

/// Breaks a paragraph into lines of at most `width` characters where its words allow.
fn wrap(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = lines.last().is_some_and(|l| l.chars().count() + 1 + word.chars().count() <= width);
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_break_between_words() {
        assert_eq!(wrap("one two three", 7), "one two\nthree");
        assert_eq!(wrap("unbreakable", 3), "unbreakable");
    }
}
