//! Built-in parts keep the published laws, where the tests of the testkit do not already say so.

use proptest::prelude::*;
use tdrm::prelude::*;
use tdrm::testkit::LawViolation;
use tdrm::testkit::generators::off_policy_steps;
use tdrm::testkit::laws::{self, Scaling};
use tdrm::value::Target;
use tdrm::verify::MathVerifier;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn targets_that_do_not_scale_keep_the_other_laws(steps in off_policy_steps(8)) {
        for text in [r#"{"kind":"soft","alpha":0.1,"lambda":0.9}"#, r#"{"kind":"tdrm","n":2,"gamma":0.8}"#] {
            let target: Target = serde_json::from_str(text).map_err(|e| TestCaseError::fail(e.to_string()))?;
            laws::value_target(&target, &steps, Scaling::Other).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
    }
}

#[test]
fn the_math_verifier_keeps_the_laws() -> Result<(), LawViolation> {
    let cases = [
        ("1/2", r"so it is \boxed{0.5}"),
        ("1,000", "The answer is 1000."),
        ("-3", r"Hence \boxed{-3}"),
        ("10", "3 + 5 = 8\n8 + 2 = 10\n#### 10"),
    ];
    laws::verifier(&MathVerifier::new(), &cases)
}

#[test]
fn a_composed_reward_keeps_the_laws() -> Result<(), LawViolation> {
    let length = || reward_fn(|s: &str| Rewards::Trajectory(s.len() as f64));
    let vowels = || reward_fn(|s: &str| Rewards::Trajectory(s.matches(['a', 'e', 'i', 'o', 'u']).count() as f64));
    let composed = length().scale(-0.1).clip(-1.0, 0.0).plus(0.5, vowels()).boxed();
    laws::reward_model(&composed, &["", "aloud", "rhythm", "a much longer response than the others"], 0.0)
}
