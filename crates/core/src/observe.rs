//! Observation: the loop reports, observers listen.

use serde::Serialize;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stage of work begins.
    Started {
        /// Name of the stage.
        stage: &'a str,
        /// Units of work in it.
        total: u64,
    },
    /// Some of it is done.
    Progress {
        /// Name of the stage.
        stage: &'a str,
        /// Units done so far.
        done: u64,
    },
    /// Named scalars at a step.
    Metrics {
        /// Name of the stage.
        stage: &'a str,
        /// Optimiser step or round.
        step: u64,
        /// Name and value of each metric.
        metrics: &'a [(&'a str, f64)],
    },
    /// Something a person should know; work goes on.
    Warning {
        /// Name of the stage.
        stage: &'a str,
        /// What it is.
        message: &'a str,
    },
    /// The stage is complete.
    Finished {
        /// Name of the stage.
        stage: &'a str,
    },
}

/// Listens to a loop.
///
/// Events arrive in order. An observer never changes what it observes: a run with `()` and a run with a terminal
/// give the same result.
pub trait Observer {
    /// Called for every event.
    fn on(&mut self, event: &Event<'_>);
}

const _: fn(&mut dyn Observer) = |_| {};

/// Observes nothing.
impl Observer for () {
    fn on(&mut self, _: &Event<'_>) {}
}

/// Observes twice.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn on(&mut self, event: &Event<'_>) {
        self.0.on(event);
        self.1.on(event);
    }
}

/// A list of observers is an observer.
impl<O: Observer> Observer for Vec<O> {
    fn on(&mut self, event: &Event<'_>) {
        for observer in self {
            observer.on(event);
        }
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn on(&mut self, event: &Event<'_>) {
        (**self).on(event);
    }
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn on(&mut self, event: &Event<'_>) {
        (**self).on(event);
    }
}

/// An observer from a closure.
pub fn observer_fn(f: impl FnMut(&Event<'_>)) -> impl Observer {
    struct Closure<F>(F);
    impl<F: FnMut(&Event<'_>)> Observer for Closure<F> {
        fn on(&mut self, event: &Event<'_>) {
            (self.0)(event);
        }
    }
    Closure(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_hears_everything_twice_and_in_order() {
        let mut heard = Vec::new();
        {
            let log = std::cell::RefCell::new(&mut heard);
            let ear = |name: &'static str| {
                let log = &log;
                observer_fn(move |e| {
                    if let Event::Progress { done, .. } = e {
                        log.borrow_mut().push((name, *done));
                    }
                })
            };
            let mut both = (ear("a"), ear("b"));
            both.on(&Event::Progress { stage: "x", done: 1 });
            both.on(&Event::Finished { stage: "x" });
            both.on(&Event::Progress { stage: "x", done: 2 });
        }
        assert_eq!(heard, [("a", 1), ("b", 1), ("a", 2), ("b", 2)]);
    }
}
