//! The main job end to end, in miniature.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use tdrm_core::{Event, observer_fn};
use tdrm_recipes::cycle::{Arm, Cycle, CycleConfig, cycle, report};
use tdrm_recipes::{Context, Model, Problem, RecipeError, Stop};

fn tiny() -> CycleConfig {
    let mut config = CycleConfig::default();
    config.data.train_problems = 12;
    config.data.validation_problems = 3;
    config.data.test_problems = 6;
    config.data.train_samples = 2;
    config.data.test_samples = 4;
    config.reward.arms.retain(|a| matches!(a.name().as_str(), "constant" | "orm" | "tdrm n=1" | "tdrm n=2" | "td n=1"));
    config.reward.epochs = 1;
    config.reward.batch = 8;
    config.truth.trajectories = 2;
    config.truth.rollouts = 2;
    config.search.problems = 2;
    config.search.branching = vec![2];
    config.search.arms = vec!["orm".into()];
    config.rl.steps = 2;
    config.rl.problems = 3;
    config.rl.group = 2;
    config.rl.evaluate_every = 1;
    config.rl.reward_model = "td n=1".into();
    config
}

fn job(name: &str, problems: Option<Vec<Problem>>) -> Cycle {
    let out = std::env::temp_dir().join(format!("tdrm-cycle-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&out);
    Cycle { config: tiny(), model: Model::embedded().unwrap(), problems, out }
}

fn run(job: &Cycle, stop_after: Option<&str>) -> (Result<String, RecipeError>, Vec<String>) {
    let stop = Stop::default();
    let mut stages = Vec::new();
    let mut observer = observer_fn(|event| match event {
        Event::Finished { stage } => {
            stages.push((*stage).to_owned());
            if stop_after == Some(stage) {
                stop.request();
            }
        }
        Event::Warning { message, .. } => stages.push(format!("! {message}")),
        _ => {}
    });
    let result = cycle(job, &mut Context { observer: &mut observer, stop: stop.clone() });
    drop(observer);
    (result.map(|results| report(&job.config, &results).to_text()), stages)
}

fn partial_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).map(|d| d.filter_map(Result::ok).collect::<Vec<_>>()).unwrap_or_default();
    let (folders, files): (Vec<_>, Vec<_>) = entries.into_iter().map(|e| e.path()).partition(|p| p.is_dir());
    let partial = files.into_iter().filter(|p| p.extension().is_some_and(|x| x == "partial"));
    partial.chain(folders.iter().flat_map(|f| partial_files(f))).collect()
}

#[test]
fn the_same_seed_gives_the_same_tables_straight_or_interrupted() {
    let straight = job("straight", None);
    let (text, stages) = run(&straight, None);
    let text = text.unwrap();
    assert!(text.contains("tdrm n=2") && text.contains("rule + reward model"), "{text}");
    assert!(stages.iter().any(|s| s.contains("every target of `tdrm n=2` is that of `tdrm n=1`")), "{stages:?}");
    assert!(!straight.out.join("state").join("seed-7").exists());

    for stage in ["sample for training", "fit orm", "grpo with rule"] {
        let resumed = job(&stage.replace(' ', "-"), None);
        let (interrupted, _) = run(&resumed, Some(stage));
        let error = interrupted.unwrap_err();
        assert!(matches!(error, RecipeError::Interrupted { .. }), "{error}");
        assert_eq!(partial_files(&resumed.out), Vec::<PathBuf>::new());
        let (again, stages) = run(&resumed, None);
        assert_eq!(again.unwrap(), text, "interrupted after {stage}");
        assert!(!stages.contains(&"sample for training".to_owned()), "finished stages are not done again: {stages:?}");
        fs::remove_dir_all(&resumed.out).unwrap();
    }
    fs::remove_dir_all(&straight.out).unwrap();
}

#[test]
fn problems_without_step_labels_leave_the_arm_out_and_say_so() {
    let problem = |i: usize| Problem { prompt: format!("{}+1:", 10 + i), gold: "nothing".into() };
    let mut job = job("own", Some((0..20).map(problem).collect()));
    job.config.reward.arms.push(Arm::StepLabels {});
    let (text, stages) = run(&job, None);
    assert!(text.unwrap().contains("20 test") || stages.iter().any(|s| s.contains("no labels")), "{stages:?}");
    assert!(stages.iter().any(|s| s.contains("nothing to learn from")), "no answer is right: {stages:?}");
    fs::remove_dir_all(&job.out).unwrap();
}

#[test]
fn too_few_problems_are_refused() {
    let problem = Problem { prompt: "1+2:".into(), gold: "3".into() };
    let (result, _) = run(&job("few", Some(vec![problem; 5])), None);
    assert_eq!(result.unwrap_err().to_string(), "problems: expected at least 10 different problems, got 1");
}

#[test]
fn a_prompt_outside_the_vocabulary_is_named() {
    let problem = |i: usize| Problem { prompt: format!("{i} apples"), gold: "3".into() };
    let (result, _) = run(&job("letters", Some((0..20).map(problem).collect())), None);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("character ' '") && error.contains("not in the model's vocabulary"), "{error}");
}
