//! JSON lines in, JSON lines out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use anyhow::{Context, Result};

/// Calls `answer` for each line of the input and writes what it returns, flushed line by line.
///
/// A reader that goes away ends the work without complaint.
pub(crate) fn answer_each(input: Option<&Path>, mut answer: impl FnMut(&str) -> String) -> Result<()> {
    let mut out = io::stdout().lock();
    for_each(input, |line| {
        writeln!(out, "{}", answer(line))?;
        out.flush()
    })
}

/// As [`answer_each`] on several threads; the order of the output stays that of the input, and a line is answered as
/// soon as it and all before it are done, so that a caller may wait for each answer before it sends the next line.
pub(crate) fn answer_each_on(
    threads: NonZeroUsize,
    input: Option<&Path>,
    answer: impl Fn(&str) -> String + Sync,
) -> Result<()> {
    if threads.get() == 1 {
        return answer_each(input, answer);
    }
    thread::scope(|scope| {
        let (ask, asked) = mpsc::sync_channel::<(usize, String)>(QUEUE);
        let (tell, told) = mpsc::sync_channel::<(usize, String)>(QUEUE);
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..threads.get() {
            let (asked, tell, answer) = (Arc::clone(&asked), tell.clone(), &answer);
            scope.spawn(move || {
                while let Some((i, line)) = asked.lock().ok().and_then(|queue| queue.recv().ok()) {
                    if tell.send((i, answer(&line))).is_err() {
                        break;
                    }
                }
            });
        }
        drop((asked, tell));
        let writer = scope.spawn(move || write_in_order(told));
        let mut next = 0;
        let read = for_each(input, |line| {
            next += 1;
            ask.send((next - 1, line.to_owned())).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
        });
        drop(ask);
        let written = writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer panicked")));
        read?;
        match written {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done.context("writing the output"),
        }
    })
}

/// Lines under way at once.
const QUEUE: usize = 256;

fn write_in_order(told: mpsc::Receiver<(usize, String)>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (mut next, mut early) = (0, BTreeMap::new());
    for (i, text) in told {
        early.insert(i, text);
        while let Some(text) = early.remove(&next) {
            writeln!(out, "{text}")?;
            out.flush()?;
            next += 1;
        }
    }
    Ok(())
}

/// Calls `work` for each line of the input, in order.
pub(crate) fn for_each(input: Option<&Path>, mut work: impl FnMut(&str) -> io::Result<()>) -> Result<()> {
    let mut reader = open(input)?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).context("reading the input")? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&bytes);
        match work(line.trim_end_matches(['\n', '\r'])) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            done => done.context("writing the output")?,
        }
    }
}

fn open(input: Option<&Path>) -> Result<Box<dyn BufRead>> {
    Ok(match input {
        Some(path) => Box::new(BufReader::new(File::open(path).with_context(|| path.display().to_string())?)),
        None => Box::new(io::stdin().lock()),
    })
}
