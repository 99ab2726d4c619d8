//! `tdrm gsm8k`: real problems, real solutions.

use anyhow::Result;
use tdrm_recipes::gsm8k::{Gsm8k, gsm8k, report};
use tdrm_recipes::write_atomically;

use crate::args::Gsm8kArgs;
use crate::commands::{settings, watched};
use crate::observe::print;

pub(crate) fn run(args: &Gsm8kArgs) -> Result<()> {
    let job = Gsm8k { config: settings(args.config.as_deref())?, data: args.data.clone(), out: args.out.clone() };
    let results = watched(args.events.as_deref(), |c| gsm8k(&job, c))?;
    let report = report(&job.config, &results);
    let (text, html) = (args.out.join("report.txt"), args.out.join("report.html"));
    write_atomically(&text, report.to_text().as_bytes())?;
    write_atomically(&html, report.to_html()?.as_bytes())?;
    print(&format!("{}\nreport: {}\n", report.to_text(), html.display()))
}
