//! The report of the main job: results of one or several seeds as tables and plots.

use super::{ArmResults, CycleConfig, RlResult, SeedResults};
use crate::report::{Axis, Cell, Estimate, Plot, Report, Section, Series, Style, Table};

/// Builds the report.
///
/// With one seed the intervals are 95 % bootstrap intervals over the test problems; with several they are 95 %
/// t-intervals over the seeds.
#[must_use]
pub fn report(config: &CycleConfig, results: &[SeedResults]) -> Report {
    let seeds: Vec<_> = results.iter().map(|r| r.seed.to_string()).collect();
    let intervals = if results.len() == 1 {
        "95 % bootstrap over the test problems of one seed"
    } else {
        "95 % t-intervals over seeds"
    };
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let all = Seeds(results);
    Report {
        title: "TDRM on one machine: reward models by temporal difference, and what they are good for".to_owned(),
        facts: vec![
            fact("seeds", seeds.join(", ")),
            fact("intervals", intervals.to_owned()),
            fact(
                "problems",
                format!(
                    "{} train, {} validation, {} test",
                    config.data.train_problems, config.data.validation_problems, config.data.test_problems
                ),
            ),
            fact(
                "samples",
                format!(
                    "{} of each training problem, {} of each test problem, temperature {}",
                    config.data.train_samples,
                    config.data.test_samples,
                    config.data.temperature.get::<f64>()
                ),
            ),
        ],
        sections: vec![
            policy(all),
            arms(all),
            quality(all),
            best_of(all),
            searches(all),
            learning(config, all),
            caveats(results.len()),
        ],
    }
}

/// Results of several seeds of which the same quantity is wanted.
#[derive(Clone, Copy)]
struct Seeds<'a>(&'a [SeedResults]);

impl<'a> Seeds<'a> {
    fn first(self) -> &'a SeedResults {
        &self.0[0]
    }

    /// The quantity with its interval: that of the only seed, or over seeds. `None` if any seed lacks it.
    fn estimate(self, of: impl Fn(&'a SeedResults) -> Option<Estimate>) -> Option<Estimate> {
        let each: Vec<_> = self.0.iter().map(of).collect::<Option<_>>()?;
        match each.as_slice() {
            [one] => Some(*one),
            several => Some(t_interval(&several.iter().map(|e| e.mean).collect::<Vec<_>>())),
        }
    }

    fn cell(self, digits: usize, of: impl Fn(&'a SeedResults) -> Option<Estimate>) -> Cell {
        self.estimate(of).map_or(Cell::Missing, |e| Cell::Interval(e, digits))
    }

    /// A quantity without an interval of its own.
    fn plain(self, digits: usize, of: impl Fn(&'a SeedResults) -> Option<f64>) -> Cell {
        match self.estimate(|r| of(r).map(Estimate::exact)) {
            Some(e) if self.0.len() > 1 => Cell::Interval(e, digits),
            Some(e) => Cell::Number(e.mean, digits),
            None => Cell::Missing,
        }
    }

    fn arm_names(self) -> impl Iterator<Item = &'a ArmResults> {
        self.first().arms.iter()
    }
}

/// Mean with its 95 % t-interval.
fn t_interval(values: &[f64]) -> Estimate {
    /// Student's t, 97.5 % quantile, for 1, 2, … degrees of freedom; normal from 30 on.
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    let t = T.get(values.len().saturating_sub(2)).copied().unwrap_or(1.96);
    let half = t * (variance / n).sqrt();
    Estimate { mean, low: mean - half, high: mean + half }
}

fn arm<'a>(r: &'a SeedResults, name: &str) -> Option<&'a ArmResults> {
    r.arms.iter().find(|a| a.name == name)
}

fn at(curve: &[(usize, Estimate)], n: usize) -> Option<Estimate> {
    curve.iter().find(|(size, _)| *size == n).map(|(_, e)| *e)
}

fn policy(all: Seeds<'_>) -> Section {
    let mut table =
        Table::new("The policy before anything is learnt, on the test problems", "", &["quantity", "value"]);
    table.push("accuracy at temperature 1", vec![all.cell(3, |r| Some(r.policy.sampled))]);
    table.push("greedy accuracy", vec![all.cell(3, |r| Some(r.policy.greedy))]);
    table.push("responses the verifier cannot read", vec![all.plain(4, |r| Some(r.policy.unreadable))]);
    table.push("steps whose label differs from the outcome", vec![all.plain(3, |r| r.policy.label_conflict)]);
    table.push("tokens per response", vec![all.plain(1, |r| Some(r.policy.tokens))]);
    let text = "A small language model solves chained arithmetic line by line. It imitates demonstrations with a habit: \
                carries are forgotten, and sometimes repaired by a check line. So a wrong step does not decide the \
                outcome, and greedy decoding and majority votes repeat the habit.";
    Section { heading: "1 The policy".into(), text: vec![text.into()], tables: vec![table], plots: vec![] }
}

fn arms(all: Seeds<'_>) -> Section {
    let mut table = Table::new(
        "The arms: the same trunk, samples and number of updates, another target",
        "saturated: non-terminal targets cut by the clamp; inert: targets that would be the same without the bootstrap",
        &["arm", "saturated", "inert", "last loss", "target"],
    );
    for a in all.arm_names() {
        let last = |r| {
            let losses = &arm(r, &a.name)?.fit.losses;
            let tail = &losses[losses.len().saturating_sub(20)..];
            (!tail.is_empty()).then(|| tail.iter().sum::<f64>() / tail.len() as f64)
        };
        table.push(
            &a.name,
            vec![
                all.plain(4, |r| arm(r, &a.name)?.fit.saturated),
                all.plain(4, |r| arm(r, &a.name)?.fit.inert),
                all.plain(4, last),
                Cell::Text(a.description.clone()),
            ],
        );
    }
    Section { heading: "2 The reward models".into(), text: vec![], tables: vec![table], plots: vec![] }
}

fn quality(all: Seeds<'_>) -> Section {
    let mut outcome = Table::new(
        "Against outcomes, on the test samples",
        "complete: at the whole response; prefix: at unfinished prefixes, the prompt included",
        &["arm", "Brier complete", "AUC complete", "Brier prefix", "AUC prefix"],
    );
    let mut truth = Table::new(
        "Against the true value V^π by rollouts, and smoothness, at unfinished prefixes",
        "a constant is perfectly smooth and useless: read the change of V beside the error, and beside the change of the true V; TD error: |y - V| with the published one-step target y",
        &["arm", "MSE to V^π", "mean |V' - V|", "mean TD error"],
    );
    for a in all.arm_names() {
        let name = a.name.as_str();
        outcome.push(
            name,
            vec![
                all.cell(4, |r| Some(arm(r, name)?.brier_end)),
                all.cell(3, |r| arm(r, name)?.auc_end),
                all.cell(4, |r| Some(arm(r, name)?.brier_prefix)),
                all.cell(3, |r| arm(r, name)?.auc_prefix),
            ],
        );
        truth.push(
            name,
            vec![
                all.cell(4, |r| Some(arm(r, name)?.mse_truth)),
                all.plain(4, |r| Some(arm(r, name)?.value_change)),
                all.plain(4, |r| Some(arm(r, name)?.td_error)),
            ],
        );
    }
    truth.push(
        "(true V^π, with its noise)",
        vec![
            all.plain(4, |r| Some(r.references.rollout_noise)),
            all.plain(4, |r| Some(r.references.true_value_change)),
            Cell::Missing,
        ],
    );
    let by_step = Plot {
        title: "Squared error to V^π by the number of steps done".into(),
        x_label: "steps done".into(),
        y_label: "mean squared error".into(),
        x_axis: Axis::Linear,
        series: plotted(all)
            .map(|a| {
                let points = a.mse_by_step.iter().enumerate().take(8).map(|(t, &e)| (t as f64, e));
                Series::new(&a.name, Style::Line, points)
            })
            .collect(),
    };
    Section { heading: "3 What they know".into(), text: vec![], tables: vec![outcome, truth], plots: vec![by_step] }
}

/// The arms that fit into one plot without hiding each other.
fn plotted(all: Seeds<'_>) -> impl Iterator<Item = &ArmResults> {
    all.arm_names().filter(|a| !matches!(a.name.as_str(), "constant" | "tdrm n=2" | "tdrm n=3" | "td n=3"))
}

fn best_of(all: Seeds<'_>) -> Section {
    let sizes: Vec<_> = all.first().references.oracle.iter().map(|(n, _)| *n).collect();
    let shown: Vec<_> = sizes.iter().copied().filter(|n| [1, 2, 4, 8, 16, 64].contains(n)).collect();
    let headings: Vec<_> = shown.iter().map(|n| format!("N={n}")).collect();
    let columns: Vec<_> = std::iter::once("arm").chain(headings.iter().map(String::as_str)).collect();
    let mut table = Table::new(
        "Best of N by the value of the complete response",
        "expected accuracy over all subsets of size N, ties broken evenly",
        &columns,
    );
    for a in all.arm_names() {
        table.push(&a.name, shown.iter().map(|&n| all.cell(3, |r| at(&arm(r, &a.name)?.best_of, n))).collect());
    }
    table.push("(majority)", shown.iter().map(|&n| all.cell(3, |r| at(&r.references.majority, n))).collect());
    table.push("(oracle)", shown.iter().map(|&n| all.cell(3, |r| at(&r.references.oracle, n))).collect());
    let mut section = Section {
        heading: "4 Best of N".into(),
        text: vec![format!("Chosen on the validation problems: {}.", chosen(all))],
        tables: vec![table, aggregations(all), paired(all)],
        plots: vec![],
    };
    section.plots.push(best_of_plot(all, &sizes));
    section
}

fn chosen(all: Seeds<'_>) -> String {
    let names: Vec<_> = all.0.iter().map(|r| format!("{} (seed {})", r.chosen, r.seed)).collect();
    names.join(", ")
}

fn best_of_plot(all: Seeds<'_>, sizes: &[usize]) -> Plot {
    let line = |label: &str, style, of: &dyn Fn(&SeedResults, usize) -> Option<Estimate>| {
        let at_size = |&n: &usize| all.estimate(|r| of(r, n)).map(|e| (n as f64, e.mean));
        Series::new(label, style, sizes.iter().filter_map(at_size))
    };
    let mut series: Vec<_> =
        plotted(all).map(|a| line(&a.name, Style::Line, &|r, n| at(&arm(r, &a.name)?.best_of, n))).collect();
    series.push(line("majority", Style::Reference, &|r, n| at(&r.references.majority, n)));
    series.push(line("oracle", Style::Reference, &|r, n| at(&r.references.oracle, n)));
    Plot {
        title: "Accuracy of the best of N samples".into(),
        x_label: "N".into(),
        y_label: "accuracy".into(),
        x_axis: Axis::Log2,
        series,
    }
}

fn aggregations(all: Seeds<'_>) -> Table {
    let kinds: Vec<_> =
        all.first().arms.first().map(|a| a.aggregations.iter().map(|(k, _)| k.as_str()).collect()).unwrap_or_default();
    let columns: Vec<_> = std::iter::once("arm").chain(kinds.iter().copied()).collect();
    let mut table = Table::new("Best of 16 by other summaries of the step values", "", &columns);
    for a in all.arm_names() {
        let of = |kind: &str| {
            all.cell(3, |r| arm(r, &a.name)?.aggregations.iter().find(|(k, _)| k == kind).map(|(_, e)| *e))
        };
        table.push(&a.name, kinds.iter().map(|kind| of(kind)).collect());
    }
    table
}

fn paired(all: Seeds<'_>) -> Table {
    let mut table = Table::new(
        "Paired differences of best-of-16 accuracy, named before the run",
        "an interval that holds 0 shows no difference; p: two-sided, Holm-adjusted, of each seed",
        &["difference", "points", "p"],
    );
    for pair in &all.first().paired {
        let of = |r: &SeedResults| r.paired.iter().find(|p| p.name == pair.name).map(|p| p.difference);
        let hundredfold = |e: Estimate| Estimate { mean: 100.0 * e.mean, low: 100.0 * e.low, high: 100.0 * e.high };
        let p_values = all.0.iter().filter_map(|r| r.paired.iter().find(|p| p.name == pair.name));
        let p_values = p_values.map(|p| format!("{:.3}", p.p_value)).collect::<Vec<_>>().join(" ");
        table.push(&pair.name, vec![all.cell(1, |r| of(r).map(hundredfold)), Cell::Text(p_values)]);
    }
    table
}

fn searches(all: Seeds<'_>) -> Section {
    let mut table = Table::new(
        "Search over steps, and best-of-N by the same arm with as many generated tokens",
        "on the first test problems",
        &["strategy, guided by", "accuracy", "tokens per problem", "best-of-N, equal tokens"],
    );
    for s in &all.first().searches {
        let same = |r: &'_ SeedResults| -> Option<usize> {
            r.searches.iter().position(|x| x.strategy == s.strategy && x.arm == s.arm)
        };
        table.push(
            format!("{}, {}", s.strategy, s.arm),
            vec![
                all.cell(3, |r| Some(r.searches[same(r)?].accuracy)),
                all.plain(0, |r| Some(r.searches[same(r)?].tokens)),
                all.plain(3, |r| Some(r.searches[same(r)?].best_of_equal)),
            ],
        );
    }
    Section { heading: "5 Guided search".into(), text: vec![], tables: vec![table], plots: vec![] }
}

fn learning(config: &CycleConfig, all: Seeds<'_>) -> Section {
    let mut table = Table::new(
        "GRPO: the policy after learning, on the test problems",
        "gain: greedy accuracy after minus before, paired; value: what the reward model thinks of the samples (a value that rises while accuracy does not is reward hacking)",
        &["reward", "greedy accuracy", "gain", "accuracy at temperature 1", "value"],
    );
    let find = |r: &'_ SeedResults, of: &RlResult| r.rl.iter().position(|x| x.signal == of.signal);
    for run in &all.first().rl {
        table.push(
            run.signal.name(),
            vec![
                all.cell(3, |r| Some(r.rl[find(r, run)?].greedy)),
                all.cell(3, |r| Some(r.rl[find(r, run)?].gain)),
                all.cell(3, |r| Some(r.rl[find(r, run)?].sampled)),
                all.plain(3, |r| Some(r.rl[find(r, run)?].value)),
            ],
        );
    }
    let curve = |run: &RlResult| {
        let mean =
            |i: usize| all.estimate(|r| Some(Estimate::exact(r.rl[find(r, run)?].curve.get(i)?.greedy_accuracy)));
        let points = run.curve.iter().enumerate().filter_map(|(i, p)| Some((p.step as f64, mean(i)?.mean)));
        Series::new(run.signal.name(), Style::Line, points)
    };
    let plot = Plot {
        title: "Greedy accuracy on the validation problems while learning".into(),
        x_label: "optimiser steps".into(),
        y_label: "greedy accuracy".into(),
        x_axis: Axis::Linear,
        series: all.first().rl.iter().map(curve).collect(),
    };
    let rl = &config.rl;
    let text = format!(
        "{} steps of {} problems x {} samples. Reward model: {}. Both: {} x rule + {} x value before the answer is given.",
        rl.steps, rl.problems, rl.group, rl.reward_model, rl.mixture.w_rule, rl.mixture.w_prm
    );
    Section { heading: "6 Reinforcement learning".into(), text: vec![text], tables: vec![table], plots: vec![plot] }
}

fn caveats(seeds: usize) -> Section {
    let mut text = vec![
        "A tiny synthetic task: differences between targets are real here and say little about large models."
            .to_owned(),
        "All arms share trunk, samples, order and number of updates; only the targets differ. An arm that bootstraps \
         from a target network needs one more forward pass per step; step labels come from an exact checker that real \
         tasks do not have."
            .to_owned(),
    ];
    if seeds == 1 {
        text.push("One seed: intervals cover the choice of test problems, not that of training data. `--seeds 10` covers both.".to_owned());
    }
    Section { heading: "7 How to read this".into(), text, ..Section::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_t_interval_by_hand() {
        // 1, 2, 3: mean 2, s = 1, t(2) = 4.303, half width 4.303/√3 = 2.4843
        let e = t_interval(&[1.0, 2.0, 3.0]);
        assert!((e.mean - 2.0).abs() < 1e-12 && (e.high - 4.484_338).abs() < 1e-5, "{e:?}");
    }
}
