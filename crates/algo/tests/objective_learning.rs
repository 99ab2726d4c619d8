//! Every on-policy objective reaches the optimal policy within 1 % of V*: three tasks, three seeds.

mod learning;

use learning::{Advantage, TASKS, advantages_of, grpo, sharp_trajectory_balance, standardised, train};
use tdrm_algo::objective::{Objective, Preset};
use tdrm_core::Seed;

fn reaches_the_optimum(name: &str, objective: &Objective, advantages: Advantage) {
    for task in &TASKS {
        for seed in [1, 2, 3] {
            let value = train(task, objective, advantages, Seed::root(seed));
            assert!(value >= 0.99, "{name} on the {} from seed {seed}: {value}", task.name);
        }
    }
}

macro_rules! learns {
    ($($test:ident: $preset:ident;)*) => {$(
        #[test]
        fn $test() {
            reaches_the_optimum(stringify!($preset), &Preset::$preset.objective(), advantages_of(Preset::$preset));
        }
    )*};
}

learns! {
    reinforce_learns: Reinforce;
    ppo_learns: Ppo;
    dr_grpo_learns: DrGrpo;
    dapo_learns: Dapo;
    rloo_learns: Rloo;
    gspo_learns: Gspo;
    gspo_by_token_learns: GspoToken;
    gmpo_learns: Gmpo;
    cispo_learns: Cispo;
    gpg_learns: Gpg;
    sapo_learns: Sapo;
    kimi_learns: Kimi;
    dro_learns: Dro;
    awr_learns: Awr;
    vespo_learns: Vespo;
    luspo_learns: Luspo;
    dppo_by_variation_learns: DppoTv;
    dppo_by_divergence_learns: DppoKl;
    kl_cov_learns: KlCov;
}

#[test]
fn grpo_learns() {
    reaches_the_optimum("Grpo", &grpo(), standardised);
}

#[test]
fn trajectory_balance_learns_its_sharp_target() {
    reaches_the_optimum("FlowRL", &sharp_trajectory_balance(), <[f64]>::to_vec);
}
