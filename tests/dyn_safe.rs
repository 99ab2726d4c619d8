//! Every trait works behind a pointer, and a pointer to an implementor is an implementor.

use std::sync::Arc;

use tdrm::prelude::*;

/// Pins that the trait object and the pointers to it implement the trait.
macro_rules! pointers_implement {
    ($test:ident, $bound:path, $object:ty) => {
        #[test]
        fn $test() {
            fn implements<T: $bound + ?Sized>() {}
            implements::<$object>();
            implements::<&$object>();
            implements::<Box<$object>>();
            implements::<Arc<$object>>();
        }
    };
}

/// The same for traits that mutate their implementor.
macro_rules! exclusive_pointers_implement {
    ($test:ident, $bound:path, $object:ty) => {
        #[test]
        fn $test() {
            fn implements<T: $bound + ?Sized>() {}
            implements::<$object>();
            implements::<&mut $object>();
            implements::<Box<$object>>();
        }
    };
}

type Space = dyn SearchSpace<Node = String>;

pointers_implement!(a_pointer_to_a_policy_is_a_policy, LogProb, dyn LogProb<Context = str, Action = usize>);
pointers_implement!(a_pointer_to_a_reward_model_is_one, RewardModel, dyn RewardModel<Input = str, Scalar = f32>);
pointers_implement!(a_pointer_to_a_value_target_is_one, ValueTarget<f64>, dyn ValueTarget<f64>);
pointers_implement!(a_pointer_to_a_verifier_is_a_verifier, Verifier, dyn Verifier<Task = str>);
pointers_implement!(a_pointer_to_an_environment_is_one, Environment, dyn Environment<State = u8, Action = u8>);
pointers_implement!(a_pointer_to_a_tabular_mdp_is_one, TabularMdp, dyn TabularMdp);
pointers_implement!(a_pointer_to_a_strategy_is_one, SearchStrategy<Space>, dyn SearchStrategy<Space>);

exclusive_pointers_implement!(a_pointer_to_a_search_space_is_one, SearchSpace, Space);
exclusive_pointers_implement!(a_pointer_to_answers_gives_answers, Answers, dyn Answers<Node = String>);
exclusive_pointers_implement!(a_pointer_to_a_learner_learns, Trainable, dyn Trainable<Sequence = u8>);
exclusive_pointers_implement!(a_pointer_to_an_observer_observes, Observer, dyn Observer);

#[test]
fn a_list_of_boxed_reward_models_scores_as_each_would_alone() -> Result<(), RewardError> {
    let length = || reward_fn(|s: &str| Rewards::Trajectory(s.len() as f64));
    let models: Vec<BoxReward<'_, str, f64>> = vec![length().boxed(), length().scale(2.0).boxed()];
    let scores: Vec<_> = models.iter().map(|m| m.score(&["abc"])).collect::<Result<_, _>>()?;
    assert_eq!(scores, [[Rewards::Trajectory(3.0)], [Rewards::Trajectory(6.0)]]);
    Ok(())
}
