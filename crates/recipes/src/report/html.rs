//! HTML without anything from outside.

use std::fmt::Write as _;

use super::{Cell, Report, Section, Table};
use crate::RecipeError;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.7rem;margin-bottom:.3rem}h2{margin-top:2.2rem;border-bottom:1px solid #ddd;padding-bottom:.2rem}\
table{border-collapse:collapse;margin:.6rem 0 1.4rem;font-size:.9rem;font-variant-numeric:tabular-nums}\
caption{text-align:left;font-weight:600;padding:.2rem 0}caption span{display:block;font-weight:400;color:#666}\
th,td{padding:.22rem .7rem;text-align:right;border-bottom:1px solid #eee;white-space:nowrap}\
th:first-child,td:first-child,td.t{text-align:left}thead th{border-bottom:2px solid #bbb}tbody tr:hover{background:#f6f8fa}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;font-size:.9rem;color:#444}dt{font-weight:600}dd{margin:0}\
figure{margin:1rem 0 2rem}figcaption{font-weight:600}svg{max-width:100%;height:auto}.wide{overflow-x:auto}\
i{font-style:normal;color:#888;font-size:.82em}";

/// Renders the report.
///
/// # Errors
/// If a plot cannot be drawn.
pub fn to_html(report: &Report) -> Result<String, RecipeError> {
    let title = escape(&report.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<dl>\n"
    );
    for (name, value) in &report.facts {
        push(&mut out, format_args!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value)));
    }
    out.push_str("</dl>\n");
    for section in &report.sections {
        section_to_html(section, &mut out)?;
    }
    out.push_str("</body>\n</html>\n");
    Ok(out)
}

fn section_to_html(section: &Section, out: &mut String) -> Result<(), RecipeError> {
    push(out, format_args!("<h2>{}</h2>\n", escape(&section.heading)));
    for paragraph in &section.text {
        push(out, format_args!("<p>{}</p>\n", escape(paragraph)));
    }
    for plot in &section.plots {
        let (caption, svg) = (escape(&plot.title), plot.to_svg()?);
        push(out, format_args!("<figure><figcaption>{caption}</figcaption>\n{svg}\n</figure>\n"));
    }
    for table in &section.tables {
        table_to_html(table, out);
    }
    Ok(())
}

fn table_to_html(table: &Table, out: &mut String) {
    let (title, note) = (escape(&table.title), escape(&table.note));
    push(out, format_args!("<div class=\"wide\"><table>\n<caption>{title}<span>{note}</span></caption>\n<thead><tr>"));
    for column in &table.columns {
        push(out, format_args!("<th>{}</th>", escape(column)));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        push(out, format_args!("<tr><td>{}</td>", escape(&row.label)));
        row.cells.iter().for_each(|cell| cell_to_html(cell, out));
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn cell_to_html(cell: &Cell, out: &mut String) {
    let class = if cell.is_text() { " class=\"t\"" } else { "" };
    let text = escape(&cell.to_text());
    let text = match text.split_once(" [") {
        Some((mean, interval)) if !cell.is_text() => format!("{mean} <i>[{interval}</i>"),
        _ => text,
    };
    push(out, format_args!("<td{class}>{text}</td>"));
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text); // writing to a String cannot fail
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_users_write_is_escaped_and_nothing_is_fetched() {
        let section = Section { heading: "<script>".into(), ..Section::default() };
        let report = Report { title: "a & b".into(), facts: vec![], sections: vec![section] };
        let html = to_html(&report).unwrap();
        assert!(html.contains("a &amp; b") && html.contains("&lt;script&gt;"));
        assert!(!html.contains("http") && !html.contains("src="));
    }
}
