//! The main job: the whole cycle of reward models and policy, compared honestly.
//!
//! sample → verify → fit reward models → compare them with outcomes and with V^π → best-of-N → guided search →
//! GRPO with rule, reward model and both → report. Each part is a finished stage on disk, so that an interrupted run
//! resumes; with the same settings and seed the tables are the same to the byte.

mod arm;
mod config;
mod driver;
mod fit;
mod grpo;
mod guided;
pub(crate) mod quality;
mod report;
mod results;
mod sample;
mod select;
pub(crate) mod stats;

pub use arm::{Arm, Bootstrap, Targets};
pub use config::{CycleConfig, DataConfig, RewardConfig, RlConfig, SearchConfig, TruthConfig};
pub use driver::{Cycle, cycle};
pub use fit::{FitSummary, Fitted, fit, sigmoid};
pub use grpo::{CurvePoint, Improved, Run, Signal};
pub use guided::{Prefix, StepSpace};
pub use report::report;
pub use results::{ArmResults, PairedResult, PolicyResults, ReferenceResults, RlResult, SearchResult, SeedResults};
pub use sample::{Plan, Sample, Sampled, judge, sample_and_judge};
