//! Real input: GSM8K problems with solutions that language models wrote, and a small process reward model from scratch.
//!
//! read → verify each final answer against the published label → split by problem → train the arms on the training
//! problems → choose epochs on the validation problems → report on the test problems. The data are not part of this
//! project: <https://github.com/openai/grade-school-math> has `test.jsonl` and `example_model_solutions.jsonl`
//! (Cobbe et al. 2021, arXiv 2110.14168).

mod agreement;
mod config;
mod data;
mod measure;
mod prepare;
mod report;
mod results;
mod run;
mod tokenizer;

pub use agreement::{Agreement, Disagreement, SourceAgreement};
pub use config::{Gsm8kConfig, PrmConfig, SplitConfig, TextConfig, TrainingConfig};
pub use data::{Exercise, PROBLEMS, SOLUTIONS, Solution, read_gsm8k};
pub use prepare::Split;
pub use report::report;
pub use results::{ArmResults, Gsm8kResults, NetworkResults, PairedResults, PartResults, Quality};
pub use run::{EXPECTED_AGREEMENT, Gsm8k, gsm8k};
pub use tokenizer::WordTokenizer;
