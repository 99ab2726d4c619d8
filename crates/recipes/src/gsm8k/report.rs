//! The report: results as tables and plots.

use super::{ArmResults, Gsm8kConfig, Gsm8kResults, SourceAgreement};
use crate::report::{Axis, Cell, Estimate, Plot, Report, Section, Series, Style, Table};

/// Builds the report.
#[must_use]
pub fn report(config: &Gsm8kConfig, results: &Gsm8kResults) -> Report {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let model = &config.model;
    Report {
        title: "GSM8K: real problems, real solutions, a small reward model from scratch".to_owned(),
        facts: vec![
            fact("seed", config.seed.to_string()),
            fact("intervals", "95 % bootstrap over the test problems; arms share their resamples".to_owned()),
            fact(
                "network",
                format!(
                    "{} layers, width {}, {} weights, {} words, digits and symbols",
                    model.layers, model.hidden_size, results.network.parameters, results.network.vocabulary
                ),
            ),
        ],
        sections: vec![verifier(results), data(results), training(config, results), quality(results), picks(results)],
    }
}

fn verifier(results: &Gsm8kResults) -> Section {
    let mut table = Table::new(
        "Final answers: verifier against published label",
        "an answer that cannot be read counts as not right",
        &["source", "solutions", "labelled right", "found right", "unreadable", "disagreements", "agreement, %"],
    );
    for source in &results.sources {
        table.push(&source.source, agreement_cells(source));
    }
    table.push("all", agreement_cells(&total(&results.sources)));
    let mut list = Table::new(
        "Each disagreement",
        "line: of example_model_solutions.jsonl",
        &["line, source", "reference", "last line of the solution", "reason"],
    );
    for d in &results.disagreements {
        let cells = [d.gold.clone(), shortened(&d.last_line), shortened(&d.reason)];
        list.push(format!("{}, {}", d.line, d.source), cells.map(Cell::Text).to_vec());
    }
    let heading = "1 The verifier".into();
    if results.disagreements.is_empty() {
        let text = "Verifier and labels agree on every solution: there is no disagreement to list.".into();
        return Section { heading, text: vec![text], tables: vec![table], plots: vec![] };
    }
    Section { heading, text: vec![], tables: vec![table, list], plots: vec![] }
}

fn agreement_cells(source: &SourceAgreement) -> Vec<Cell> {
    let share = 100.0 * source.agreed as f64 / source.solutions.max(1) as f64;
    let counts = [
        source.solutions,
        source.labelled_right,
        source.found_right,
        source.unreadable,
        source.solutions - source.agreed,
    ];
    let mut cells: Vec<_> = counts.map(|n| Cell::Number(n as f64, 0)).to_vec();
    cells.push(Cell::Number(share, 2));
    cells
}

fn total(sources: &[SourceAgreement]) -> SourceAgreement {
    let sum = |of: fn(&SourceAgreement) -> usize| sources.iter().map(of).sum();
    SourceAgreement {
        source: String::new(),
        solutions: sum(|s| s.solutions),
        labelled_right: sum(|s| s.labelled_right),
        found_right: sum(|s| s.found_right),
        unreadable: sum(|s| s.unreadable),
        agreed: sum(|s| s.agreed),
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST - 1).chain(['…']).collect() }
}

fn data(results: &Gsm8kResults) -> Section {
    let mut table = Table::new(
        "The split, by problem",
        "the vocabulary is that of the training problems; cut: solutions longer than the limit, which lose their end",
        &["part", "problems", "solutions", "right", "steps", "tokens", "unknown tokens", "cut"],
    );
    for p in &results.parts {
        let cells = vec![
            Cell::Number(p.problems as f64, 0),
            Cell::Number(p.solutions as f64, 0),
            Cell::Number(p.right, 3),
            Cell::Number(p.steps, 2),
            Cell::Number(p.tokens, 1),
            Cell::Number(p.unknown, 4),
            Cell::Number(p.cut as f64, 0),
        ];
        table.push(&p.name, cells);
    }
    let text = "Each solution is a trajectory: its lines are the steps, s_0 is the question alone, the outcome is the \
                published label. All solutions of a problem are in the same part.";
    Section { heading: "2 The data".into(), text: vec![text.into()], tables: vec![table], plots: vec![] }
}

fn training(config: &Gsm8kConfig, results: &Gsm8kResults) -> Section {
    let epochs: Vec<_> = config.training.epochs.iter().map(|e| format!("{e} epochs")).collect();
    let columns = std::iter::once("arm").chain(epochs.iter().map(String::as_str));
    let columns: Vec<_> = columns.chain(["chosen", "last loss", "saturated", "inert", "target"]).collect();
    let mut table = Table::new(
        "Brier score of complete validation solutions by length of training",
        "each length is a training of its own with its own decay of the learning rate; saturated: non-terminal targets cut by the clamp; inert: those that would be the same without the bootstrap",
        &columns,
    );
    for arm in &results.arms {
        let tried = |e: &usize| arm.validation.iter().find(|(epochs, _)| epochs == e).map(|(_, brier)| *brier);
        let mut cells: Vec<_> = config.training.epochs.iter().map(|e| number(tried(e), 4)).collect();
        cells.push(number((arm.epochs > 0).then_some(arm.epochs as f64), 0));
        cells.extend([number(arm.loss, 4), number(arm.saturated, 4), number(arm.inert, 4)]);
        cells.push(Cell::Text(arm.description.clone()));
        table.push(&arm.name, cells);
    }
    let t = &config.training;
    let text = format!(
        "The same fresh network, solutions, order and optimiser for every arm: AdamW, batch {}, peak learning rate {}, \
         EMA target network {}. Only the target differs.",
        t.batch, t.learning_rate, t.target_ema
    );
    Section { heading: "3 The reward models".into(), text: vec![text], tables: vec![table], plots: vec![] }
}

fn number(x: Option<f64>, digits: usize) -> Cell {
    x.map_or(Cell::Missing, |x| Cell::Number(x, digits))
}

fn interval(e: Option<Estimate>, digits: usize) -> Cell {
    e.map_or(Cell::Missing, |e| Cell::Interval(e, digits))
}

fn quality(results: &Gsm8kResults) -> Section {
    let mut auc = Table::new(
        "Area under the ROC curve on the test problems",
        "complete: at whole solutions; prefix: at unfinished ones, the question alone included; within: right above wrong among the solutions of one problem",
        &["arm", "complete", "prefix", "within problems"],
    );
    let mut brier = Table::new(
        "Brier score on the test problems",
        "the constant is the share of right solutions in training",
        &["arm", "complete", "prefix"],
    );
    for arm in &results.arms {
        let q = &arm.quality;
        auc.push(&arm.name, vec![interval(q.auc_end, 3), interval(q.auc_prefix, 3), interval(q.auc_within, 3)]);
        brier.push(&arm.name, vec![interval(Some(q.brier_end), 4), interval(Some(q.brier_prefix), 4)]);
    }
    let by_steps = |arm: &ArmResults| {
        let points = arm.quality.auc_by_steps_left.iter().enumerate().map(|(left, &auc)| (left as f64, auc));
        Series::new(&arm.name, Style::Line, points)
    };
    let progress = Plot {
        title: "How early the outcome is known: AUC by steps left".into(),
        x_label: "steps left".into(),
        y_label: "AUC".into(),
        x_axis: Axis::Linear,
        series: results.arms.iter().map(by_steps).collect(),
    };
    Section {
        heading: "4 What they know".into(),
        text: vec![],
        tables: vec![auc, brier],
        plots: vec![progress, reliability(results)],
    }
}

fn reliability(results: &Gsm8kResults) -> Plot {
    let trained = results.arms.iter().filter(|arm| arm.epochs > 0);
    let mut series: Vec<_> =
        trained.map(|arm| Series::new(&arm.name, Style::Line, arm.quality.reliability.iter().copied())).collect();
    series.push(Series::new("calibrated", Style::Reference, [(0.0, 0.0), (1.0, 1.0)]));
    Plot {
        title: "Reliability at complete solutions, ten bins".into(),
        x_label: "mean value".into(),
        y_label: "share of right solutions".into(),
        x_axis: Axis::Linear,
        series,
    }
}

fn picks(results: &Gsm8kResults) -> Section {
    let n = results.sources.len();
    let mut table = Table::new(
        &format!("Accuracy of one answer out of {n}, on the test problems"),
        "best: the solution with the highest value; vote: the answer with the largest sum of values; ties share",
        &["pick", "best", "vote"],
    );
    for arm in &results.arms {
        table.push(&arm.name, vec![Cell::Interval(arm.best_of, 3), Cell::Interval(arm.vote, 3)]);
    }
    for (name, accuracy) in &results.references {
        table.push(format!("({name})"), vec![Cell::Interval(*accuracy, 3), Cell::Missing]);
    }
    let mut paired = Table::new(
        &format!("Paired differences of best-of-{n} accuracy and of AUC"),
        "an interval that holds 0 shows no difference; one in twenty misses 0 by chance",
        &["difference", "accuracy, points", "AUC complete"],
    );
    for p in &results.paired {
        let hundredfold = |e: Estimate| Estimate { mean: 100.0 * e.mean, low: 100.0 * e.low, high: 100.0 * e.high };
        paired.push(&p.name, vec![Cell::Interval(hundredfold(p.accuracy), 1), interval(p.auc, 3)]);
    }
    let text = "The solutions of a problem come from different models, so a reward model can gain by telling the models \
                apart; the row of the best source shows how far that alone goes. One training per arm: the intervals do \
                not hold the chance of initial weights.";
    Section { heading: format!("5 Best of {n}"), text: vec![text.into()], tables: vec![table, paired], plots: vec![] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(61)).chars().count(), 60);
    }

    #[test]
    fn counts_of_sources_add_up() {
        let one = |agreed| SourceAgreement {
            source: "a".to_owned(),
            solutions: 10,
            labelled_right: 4,
            found_right: 5,
            unreadable: 1,
            agreed,
        };
        assert_eq!((total(&[one(9), one(8)]).agreed, total(&[]).solutions), (17, 0));
    }
}
