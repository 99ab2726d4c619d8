//! What crosses threads: the vocabulary and the parts are plain data.

use tdrm::prelude::*;

fn crosses<T: Send + Sync + 'static>() {}

#[test]
fn the_vocabulary_crosses_threads() {
    crosses::<Seed>();
    crosses::<Steps<'static, f32>>();
    crosses::<Trajectory>();
    crosses::<Verdict>();
    crosses::<Rewards<f32>>();
    crosses::<Decision<Vec<u32>>>();
    crosses::<Found<String>>();
    crosses::<BoxReward<'static, str, f32>>();
    crosses::<Box<dyn Verifier<Task = str>>>();
}

#[test]
fn built_in_parts_cross_threads() {
    crosses::<tdrm::value::Target>();
    crosses::<tdrm::advantage::Estimator>();
    crosses::<tdrm::objective::Objective>();
    crosses::<tdrm::verify::MathVerifier>();
    crosses::<tdrm::envs::tabular::Table>();
    crosses::<tdrm::envs::learner::TablePolicy>();
    crosses::<tdrm::dfdx::Lm>();
}

#[test]
fn errors_cross_threads() {
    crosses::<PolicyError>();
    crosses::<RewardError>();
    crosses::<SearchError>();
    crosses::<ShapeError>();
    crosses::<tdrm::advantage::AdvantageError>();
    crosses::<tdrm::objective::ObjectiveError>();
    crosses::<tdrm::dfdx::LmError>();
    crosses::<tdrm::recipes::RecipeError>();
}

#[test]
fn draws_do_not_depend_on_the_thread() {
    let draw = |i: u64| Seed::root(7).child(i).rng().next_u64();
    let here: Vec<u64> = (0..8).map(draw).collect();
    let there: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || draw(i))).collect();
        threads.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    assert_eq!(here, there);
}
