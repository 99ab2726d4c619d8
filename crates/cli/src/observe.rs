//! Sinks of events: progress bars on the terminal, JSON lines in a file.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tdrm_core::{Event, Observer};

/// Shows a bar per stage on standard error; plain lines where that is no terminal.
#[derive(Debug, Default)]
pub(crate) struct Terminal {
    bar: Option<ProgressBar>,
    total: u64,
    began: Option<Instant>,
    spoke: Option<Instant>,
}

/// How often a stage reports where there is no terminal.
const QUIET: Duration = Duration::from_secs(10);

impl Terminal {
    fn start(&mut self, stage: &str, total: u64) {
        self.total = total;
        self.began = Some(Instant::now());
        self.spoke = self.began;
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template("{msg:32} {bar:36} {pos:>6}/{len:6} {eta:>4} left") {
                bar.set_style(style);
            }
            bar.set_message(stage.to_owned());
            self.bar = Some(bar);
        }
    }

    fn progress(&mut self, stage: &str, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if self.spoke.is_some_and(|t| t.elapsed() > QUIET) {
            self.spoke = Some(Instant::now());
            say(&format!("  {stage}: {done} of {}", self.total));
        }
    }

    fn finish(&mut self, stage: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let seconds = self.began.take().map_or(0.0, |t| t.elapsed().as_secs_f64());
        say(&format!("{stage:<34} {seconds:6.1} s"));
    }
}

impl Observer for Terminal {
    fn on(&mut self, event: &Event<'_>) {
        match *event {
            Event::Started { stage, total } => self.start(stage, total),
            Event::Progress { stage, done } => self.progress(stage, done),
            Event::Finished { stage } => self.finish(stage),
            Event::Warning { stage, message } => match &self.bar {
                Some(bar) => bar.suspend(|| say(&format!("{stage}: {message}"))),
                None => say(&format!("{stage}: {message}")),
            },
            _ => {}
        }
    }
}

/// Appends every event as a JSON line.
#[derive(Debug)]
pub(crate) struct JsonLines(Option<File>);

impl JsonLines {
    /// Opens the file, if there is one.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let open =
            |p: &Path| OpenOptions::new().create(true).append(true).open(p).with_context(|| p.display().to_string());
        Ok(Self(path.map(open).transpose()?))
    }
}

impl Observer for JsonLines {
    fn on(&mut self, event: &Event<'_>) {
        if let Some(file) = &mut self.0
            && let Err(e) = serde_json::to_writer(&mut *file, event).map_err(Into::into).and_then(|()| writeln!(file))
        {
            say(&format!("events are no longer written: {e}"));
            self.0 = None;
        }
    }
}

#[expect(clippy::print_stderr, reason = "the terminal is what this module is for")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Says what went wrong, with its causes.
pub(crate) fn complain(error: &anyhow::Error) {
    say(&format!("error: {error:#}"));
}

/// Writes to standard output; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("writing the output"),
    }
}

/// Says what may be wrong, on standard error.
#[cfg(feature = "lm")]
pub(crate) fn warn(text: &str) {
    say(&format!("warning: {text}"));
}
