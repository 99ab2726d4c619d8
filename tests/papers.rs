//! The table of papers and the code list the same presets.

use tdrm::objective::Preset;

const PAPERS: &str = include_str!("../docs/src/papers.md");

#[test]
fn every_preset_has_a_row_in_the_table_of_papers() -> serde_json::Result<()> {
    for preset in Preset::ALL {
        let name = serde_json::to_string(&preset)?;
        let row = format!("| `{}` |", name.trim_matches('"'));
        assert!(PAPERS.lines().any(|line| line.starts_with(&row)), "docs/src/papers.md has no row {row}");
    }
    Ok(())
}

#[test]
fn every_preset_of_the_table_is_in_the_code() {
    let rows = PAPERS.lines().filter(|line| line.trim_end().ends_with("| preset |"));
    for row in rows {
        let name = row.split('`').nth(1).unwrap_or_default();
        assert!(serde_json::from_str::<Preset>(&format!("\"{name}\"")).is_ok(), "there is no preset {name}");
    }
}
