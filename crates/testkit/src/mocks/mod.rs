//! Parts that do what a script says.

mod policy;
mod reward;
mod tree;

pub use policy::ScriptedPolicy;
pub use reward::ConstantReward;
pub use tree::{Drawing, ScriptedTree, TreeNode};

pub use tdrm_envs::learner::TablePolicy;
