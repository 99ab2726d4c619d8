//! What the commands do.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use tdrm_core::Observer;
use tdrm_envs::tabular::Settings;
use tdrm_recipes::cycle::{Cycle, CycleConfig, cycle, report};
use tdrm_recipes::{Context, Model, Stop, read_problems, write_atomically};
use tdrm_verify::{MathVerifier, Options};

use crate::args::{CalcArgs, Cli, Command, CycleArgs, EnvCommand, PretrainArgs, VerifyArgs};
use crate::observe::{JsonLines, Terminal, print};
use crate::{gsm8k, lines};

pub(crate) fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Some(Command::Pretrain(args)) => pretrain(&args),
        Some(Command::Calc(args)) => calc(&args),
        Some(Command::Verify(args)) => verify(&args),
        Some(Command::Env(EnvCommand::Dump { name, settings })) => dump(&name, &settings),
        Some(Command::Gsm8k(args)) => gsm8k::run(&args),
        #[cfg(feature = "lm")]
        Some(Command::Lm(command)) => crate::lm::lm(command),
        #[cfg(feature = "lm")]
        Some(Command::Score(args)) => crate::lm::score(&args),
        #[cfg(feature = "lm")]
        Some(Command::Train(command)) => crate::lm::train(&command),
        None => main_job(&cli.cycle),
    }
}

/// Settings from a file; the defaults without one.
pub(crate) fn settings<T: DeserializeOwned + Default>(path: Option<&Path>) -> Result<T> {
    let Some(path) = path else { return Ok(T::default()) };
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

/// Runs long work with a terminal, an event file and Ctrl-C.
pub(crate) fn watched<T>(
    events: Option<&Path>,
    work: impl FnOnce(&mut Context<'_>) -> Result<T, tdrm_recipes::RecipeError>,
) -> Result<T> {
    let stop = Stop::default();
    let request = stop.clone();
    ctrlc::set_handler(move || {
        if request.is_requested() {
            std::process::exit(130);
        }
        request.request();
    })
    .context("listening for Ctrl-C")?;
    let mut observer = (Terminal::default(), JsonLines::open(events)?);
    let observer: &mut dyn Observer = &mut observer;
    Ok(work(&mut Context { observer, stop })?)
}

fn pretrain(args: &PretrainArgs) -> Result<()> {
    let config = settings(args.config.as_deref())?;
    let report = watched(args.events.as_deref(), |c| tdrm_recipes::pretrain(&config, &args.out, c))?;
    print(&format!("{}\n", serde_json::to_string_pretty(&report)?))
}

fn calc(args: &CalcArgs) -> Result<()> {
    if args.list {
        let lines = tdrm_calc::ops().map(|op| {
            let kind = if op.kind.is_empty() { String::new() } else { format!(" {}", op.kind) };
            format!("{}{kind}: {}\n    {}\n", op.name, op.fields, op.formula)
        });
        return print(&lines.collect::<Vec<_>>().concat());
    }
    lines::answer_each(args.input.as_deref(), tdrm_calc::line)
}

fn main_job(args: &CycleArgs) -> Result<()> {
    let mut config: CycleConfig = settings(args.config.as_deref())?;
    config.seed = args.seed.unwrap_or(config.seed);
    config.seeds = args.seeds.map_or(config.seeds, std::num::NonZeroUsize::get);
    config.check()?;
    if args.print_config {
        return print(&toml::to_string(&config)?);
    }
    let model = args.model.as_deref().map_or_else(Model::embedded, Model::load)?;
    let problems = args.problems.as_deref().map(read_problems).transpose()?;
    let job = Cycle { config, model, problems, out: args.out.clone() };
    let results = watched(args.events.as_deref(), |c| cycle(&job, c))?;
    let report = report(&job.config, &results);
    let (text, html) = (args.out.join("report.txt"), args.out.join("report.html"));
    write_atomically(&text, report.to_text().as_bytes())?;
    write_atomically(&html, report.to_html()?.as_bytes())?;
    for plot in report.sections.iter().flat_map(|s| &s.plots) {
        let name = plot.title.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        write_atomically(&args.out.join(format!("{name}.svg")), plot.to_svg()?.as_bytes())?;
    }
    print(&format!("{}\nreport: {}\n", report.to_text(), html.display()))
}

fn verify(args: &VerifyArgs) -> Result<()> {
    let (options, fuel) = (Options::default(), args.fuel.unwrap_or(MathVerifier::DEFAULT_FUEL));
    let answer = |line: &str| tdrm_verify::cli_line(line, options, fuel);
    lines::answer_each_on(args.threads, args.input.as_deref(), answer)
}

fn dump(name: &str, settings: &[String]) -> Result<()> {
    let settings = Settings::parse(settings.iter().map(String::as_str))?;
    print(&format!("{}\n", serde_json::to_string(&tdrm_envs::tabular::dump(name, settings)?)?))
}
