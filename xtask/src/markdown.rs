//! As much of Markdown as the checks need: links, code fences, headings, includes.

use std::collections::BTreeSet;

/// The lines of a page with whether each is prose; fences and what lies between them are not.
fn lines(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut in_code = false;
    text.lines().map(move |line| {
        let fence = line.trim_start().starts_with("```");
        let prose = !in_code && !fence;
        in_code ^= fence;
        (prose, line)
    })
}

/// What follows the opening backticks of each code block.
pub(crate) fn fences(text: &str) -> Vec<&str> {
    let backticks = lines(text).filter_map(|(prose, line)| (!prose).then(|| line.trim_start().strip_prefix("```"))?);
    backticks.step_by(2).collect()
}

/// Targets of `[text](target)` outside of code.
pub(crate) fn links(text: &str) -> Vec<&str> {
    lines(text).filter(|(prose, _)| *prose).flat_map(|(_, line)| links_of_line(line)).collect()
}

fn links_of_line(line: &str) -> Vec<&str> {
    let outside_code = line.split('`').step_by(2);
    let whole = if line.contains("`](") { vec![line] } else { outside_code.collect() };
    whole.iter().flat_map(|s| s.split("](").skip(1)).filter_map(|s| s.split([')', ' ']).next()).collect()
}

/// Targets of `{{#include target}}`, without line ranges.
pub(crate) fn includes(text: &str) -> Vec<&str> {
    let targets = text.lines().filter_map(|line| Some(line.split_once("{{#include ")?.1.split_once("}}")?.0.trim()));
    targets.map(|target| target.split(':').next().unwrap_or(target)).collect()
}

/// Anchors of the headings, as mdBook makes them.
pub(crate) fn headings(text: &str) -> BTreeSet<String> {
    lines(text).filter(|(prose, line)| *prose && line.starts_with('#')).map(|(_, line)| anchor(line)).collect()
}

fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_around_code_is_a_link_and_code_blocks_hold_none() {
        assert_eq!(links("[`core`](core.md)\n```text\n[x](y.md)\n```\n[z](z.md)"), ["core.md", "z.md"]);
    }

    #[test]
    fn anchors_are_those_of_mdbook() {
        assert_eq!(anchor("## Discount 0 is terminal (γ, λ)"), "discount-0-is-terminal-γ-λ");
    }
}
