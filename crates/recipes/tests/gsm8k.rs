//! The GSM8K recipe from files to report, on ten problems that this test writes, and the verifier on the real ones.

#![allow(clippy::print_stderr, reason = "a skip must be heard")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tdrm_core::{Event, Observer};
use tdrm_recipes::gsm8k::{
    Agreement, EXPECTED_AGREEMENT, Gsm8k, Gsm8kConfig, Gsm8kResults, PROBLEMS, SOLUTIONS, gsm8k, read_gsm8k, report,
};
use tdrm_recipes::{Context, RecipeError, Stop};

/// Ten problems x + y with four solutions each: right, right but written as a decimal, off by one, and silent.
fn miniature(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tdrm-gsm8k-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let (mut problems, mut solutions) = (String::new(), String::new());
    for i in 0..10 {
        let (x, y) = (3 + i, 40 - 3 * i);
        let question = format!("Ann has {x} apples and {y} pears. How many fruits has she?");
        let answer = |sum: &str| format!("She has {x} + {y} = <<{x}+{y}={sum}>>{sum} fruits\nA: {sum}");
        let solution = |text: String, right: bool| json!({"solution": text, "is_correct": right});
        let sum = x + y;
        let reference = format!("{x}+{y}={sum}\n#### {sum}");
        writeln!(problems, "{}", json!({"question": question, "answer": reference})).unwrap();
        let line = json!({
            "question": question,
            "ground_truth": reference,
            "a": solution(answer(&sum.to_string()), true),
            "b": solution(answer(&format!("{sum}.0")), true),
            "c": solution(answer(&(sum + 1).to_string()), false),
            "d": solution("She has fruits".to_owned(), false),
        });
        writeln!(solutions, "{line}").unwrap();
    }
    fs::write(folder.join(PROBLEMS), problems).unwrap();
    fs::write(folder.join(SOLUTIONS), solutions).unwrap();
    folder
}

/// A network that trains in a second.
fn small() -> Gsm8kConfig {
    let mut config = Gsm8kConfig::default();
    config.split.validation = 0.2;
    config.split.test = 0.3;
    (config.model.hidden_size, config.model.intermediate_size) = (16, 32);
    config.training.epochs = vec![1, 3];
    config.training.batch = 5;
    config
}

fn job(data: &Path, out: &str) -> Gsm8k {
    Gsm8k { config: small(), data: data.to_owned(), out: data.join(out) }
}

/// Asks to stop when the `n`-th training begins.
struct StopAt {
    stop: Stop,
    trainings: usize,
    heard: Vec<String>,
}

impl Observer for StopAt {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Started { stage, .. } = event
            && stage.starts_with("fit")
        {
            self.heard.push((*stage).to_owned());
            if self.heard.len() == self.trainings {
                self.stop.request();
            }
        }
    }
}

/// Runs the recipe; returns what came and which trainings began.
fn run(job: &Gsm8k, stop_at: usize) -> (Result<Gsm8kResults, RecipeError>, Vec<String>) {
    let stop = Stop::default();
    let mut observer = StopAt { stop: stop.clone(), trainings: stop_at, heard: vec![] };
    let results = gsm8k(job, &mut Context { observer: &mut observer, stop });
    (results, observer.heard)
}

const NEVER: usize = usize::MAX;

#[test]
fn ten_problems_become_a_report_and_the_same_seed_the_same_report() {
    let data = miniature("twice");
    let (first, second) = (job(&data, "first"), job(&data, "second"));
    let results = run(&first, NEVER).0.unwrap();
    assert_eq!(results, run(&second, NEVER).0.unwrap());

    let counts: Vec<_> = results.sources.iter().map(|s| (s.found_right, s.unreadable, s.agreed)).collect();
    assert_eq!(counts, [(10, 0, 10), (10, 0, 10), (0, 0, 10), (0, 10, 10)]);
    assert!(results.disagreements.is_empty());
    assert_eq!(results.parts.iter().map(|p| p.problems).collect::<Vec<_>>(), [5, 2, 3]);
    let names: Vec<_> = results.arms.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["constant", "orm", "outcome", "tdrm n=1", "td(0.95)"]);
    assert!(results.arms[1..].iter().all(|a| a.quality.auc_end.is_some() && [1, 3].contains(&a.epochs)));

    let written = report(&first.config, &results);
    let text = written.to_text();
    assert_eq!(text, report(&second.config, &results).to_text());
    assert!(text.contains("(random)") && text.contains("td(0.95) - orm") && !text.contains("NaN"));
    let html = written.to_html().unwrap();
    assert!(html.matches("<svg").count() == 2 && !html.contains("src=") && !html.contains("<link"));
    assert_eq!(fs::read_to_string(first.out.join("disagreements.jsonl")).unwrap(), "");
    assert!(!first.out.join("state").exists(), "a finished run leaves no state behind");
    fs::remove_dir_all(&data).unwrap();
}

#[test]
fn an_interrupted_run_goes_on_where_it_was_and_finds_the_same() {
    let data = miniature("resumed");
    let (straight, broken) = (job(&data, "straight"), job(&data, "broken"));
    let (expected, all) = run(&straight, NEVER);
    assert_eq!(all.len(), 8); // four trained arms, two lengths each
    let (interrupted, _) = run(&broken, 4);
    assert!(matches!(interrupted, Err(RecipeError::Interrupted { .. })));
    let (resumed, rest) = run(&broken, NEVER);
    assert_eq!(rest, all[3..]);
    assert_eq!(resumed.unwrap(), expected.unwrap());
    fs::remove_dir_all(&data).unwrap();
}

#[test]
fn other_data_do_not_continue_an_unfinished_run() {
    let data = miniature("changed");
    let broken = job(&data, "out");
    assert!(run(&broken, 3).0.is_err());
    let path = data.join(SOLUTIONS);
    let changed = fs::read_to_string(&path).unwrap().replace("She has fruits", "She has some fruits");
    fs::write(&path, changed).unwrap();
    let (_, trainings) = run(&broken, NEVER);
    assert_eq!(trainings.len(), 8);
    fs::remove_dir_all(&data).unwrap();
}

#[test]
fn labels_that_the_verifier_contradicts_are_written_down() {
    let data = miniature("contradicted");
    let path = data.join(SOLUTIONS);
    let text = fs::read_to_string(&path).unwrap();
    let flipped = text.replacen("\"is_correct\":true", "\"is_correct\":false", 1);
    assert_ne!(text, flipped);
    fs::write(&path, flipped).unwrap();
    let job = job(&data, "out");
    let results = run(&job, NEVER).0.unwrap();
    let listed = fs::read_to_string(job.out.join("disagreements.jsonl")).unwrap();
    assert_eq!((results.disagreements.len(), listed.lines().count()), (1, 1));
    assert!(listed.contains("\"line\":1,\"source\":\"a\"") && listed.contains("labelled wrong, but"), "{listed}");
    assert!(report(&job.config, &results).to_text().contains("labelled wrong, but"));
    fs::remove_dir_all(&data).unwrap();
}

#[test]
fn wrong_settings_and_missing_files_leave_nothing_behind() {
    let data = miniature("wrong");
    let mut wrong = job(&data, "out");
    wrong.config.training.epochs.clear();
    assert!(run(&wrong, NEVER).0.unwrap_err().to_string().starts_with("training.epochs: expected"));
    let missing = Gsm8k { data: data.join("nowhere"), ..job(&data, "out") };
    assert!(run(&missing, NEVER).0.unwrap_err().to_string().contains("nowhere/test.jsonl"));
    assert!(!data.join("out").exists());
    fs::remove_dir_all(&data).unwrap();
}

#[test]
fn the_verifier_agrees_with_the_published_labels() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = root.ancestors().map(|folder| folder.join("../shared/data/gsm8k")).find(|folder| folder.is_dir());
    let Some(folder) = found else {
        eprintln!(
            "SKIPPED: no folder shared/data/gsm8k beside the repository; the 5,276 real solutions were not verified"
        );
        return;
    };
    let agreement = Agreement::of(&read_gsm8k(&folder).unwrap());
    assert_eq!(agreement.solutions(), 5276);
    assert!(agreement.share() >= EXPECTED_AGREEMENT, "{} {:#?}", agreement.share(), agreement.disagreements);
}
