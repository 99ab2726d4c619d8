//! What a person at a terminal meets: messages, exit codes, files.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn tdrm(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tdrm"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn refused(args: &[&str]) -> String {
    let output = tdrm(args).output().unwrap();
    assert!(!output.status.success(), "{args:?} should fail");
    String::from_utf8(output.stderr).unwrap()
}

fn answers(args: &[&str], input: &str) -> Vec<String> {
    let mut child = tdrm(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    assert!(status.success());
    String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect()
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tdrm-cli-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn file(name: &str, content: &str) -> String {
    let path = folder(name).join("file");
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_misspelt_setting_is_named_with_file_and_line() {
    let path = file("misspelt", "seed = 1\n[rl]\ngruop = 8\n");
    let message = refused(&["--config", &path]);
    assert!(message.contains(&path) && message.contains("line 3") && message.contains("gruop"), "{message}");
}

#[test]
fn a_setting_out_of_range_is_named() {
    let path = file("range", "[data]\ntemperature = -1.0\n");
    assert!(refused(&["--config", &path]).contains("temperature must lie in (0, inf), got -1"));
    let path = file("empty-group", "[rl]\ngroup = 1\n");
    assert!(refused(&["--config", &path]).contains("rl.group: expected at least 2, got 1"));
}

#[test]
fn a_missing_file_is_named() {
    for option in ["--config", "--problems", "--model"] {
        let message = refused(&[option, "/no/such/thing"]);
        assert!(message.contains("/no/such/thing") && message.contains("No such file"), "{message}");
    }
}

#[test]
fn a_malformed_problem_is_named_with_its_line() {
    let path = file("problems", "{\"prompt\": \"1+2:\", \"gold\": \"3\"}\n{\"prompt\": \"1+2:\", \"gold\": 3}\n");
    let message = refused(&["--problems", &path]);
    assert!(message.contains("file:2: invalid type: integer `3`, expected a string"), "{message}");
}

#[test]
fn a_checkpoint_with_a_wrong_shape_is_named() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/model");
    let copy = folder("shape");
    for name in ["model.safetensors", "tokenizer.json"] {
        fs::copy(format!("{model}/{name}"), copy.join(name)).unwrap();
    }
    let config = fs::read_to_string(format!("{model}/config.json")).unwrap();
    let wider = config.replace("\"intermediate_size\": 256", "\"intermediate_size\": 260");
    assert_ne!(config, wider);
    fs::write(copy.join("config.json"), wider).unwrap();
    let message = refused(&["--model", copy.to_str().unwrap()]);
    assert!(message.contains("mlp.") && message.contains("260") && message.contains("256"), "{message}");
    let weights = fs::read(copy.join("model.safetensors")).unwrap();
    fs::write(copy.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    assert!(refused(&["--model", copy.to_str().unwrap()]).contains("error"));
}

#[test]
fn the_settings_that_are_printed_are_settings_that_are_read() {
    let printed = tdrm(&["--print-config", "--seed", "3"]).output().unwrap();
    assert!(printed.status.success());
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.contains("seed = 3"));
    let again = tdrm(&["--print-config", "--config", &file("printed", &text)]).output().unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
}

#[test]
fn the_calculator_answers_line_by_line_and_goes_on_after_a_bad_one() {
    let target =
        r#"{"op":"value_target","target":{"kind":"td0"},"rewards":[0,1],"discounts":[0.5,0],"values":[0,4,9]}"#;
    let lines = answers(&["calc"], &format!("{target}\nnonsense\n{{\"op\":\"pass_at_k\",\"n\":4,\"c\":1,\"k\":2}}\n"));
    assert_eq!(lines[0], r#"{"targets":[2.0,1.0]}"#);
    assert!(lines[1].starts_with(r#"{"error":"#));
    assert_eq!(lines[2], r#"{"pass_at_k":0.5}"#);
    let list = tdrm(&["calc", "--list"]).output().unwrap();
    assert!(String::from_utf8(list.stdout).unwrap().contains("td_lambda"));
}

#[test]
fn verdicts_keep_the_order_of_the_input_on_any_number_of_threads() {
    let line = |i: usize| format!("{{\"gold\":\"{i}\",\"response\":\"so \\\\boxed{{{}}}\"}}\n", i - i % 2);
    let input: String = (0..500).map(line).collect::<String>() + "{\"gold\": 1}\n";
    let one = answers(&["verify"], &input);
    assert_eq!(one.len(), 501);
    assert!(one[2].contains("\"correct\"") && one[3].contains("\"incorrect\"") && one[500].contains("error"));
    assert_eq!(answers(&["verify", "--threads", "3"], &input), one);
}

#[test]
fn an_environment_is_dumped_with_its_exact_values() {
    let lines = answers(&["env", "dump", "FrozenLake-v1", "--set", "is_slippery=false", "--set", "gamma=0.5"], "");
    let dump: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    // six steps to the goal of the 4x4 map: V* = 0.5^5
    assert!((dump["v_star"][0].as_f64().unwrap() - 0.03125).abs() < 1e-12, "{}", dump["v_star"][0]);
    assert_eq!(dump["transitions"].as_array().unwrap().len(), 16);
    assert!(refused(&["env", "dump", "FrozenLake-v1", "--set", "slippery=1"]).contains("slippery"));
    assert!(refused(&["env", "dump", "Frozen"]).contains("Frozen"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_main_job_with_a_message_and_the_same_command_resumes() {
    let out = folder("interrupt");
    let config = "[data]\ntrain_problems = 400\nvalidation_problems = 2\ntest_problems = 4\ntest_samples = 2\n\
        [reward]\narms = [{kind = \"orm\"}]\nepochs = 50\n[truth]\ntrajectories = 1\n\
        [search]\nproblems = 1\nbranching = []\narms = [\"orm\"]\n[rl]\nsteps = 1\nreward_model = \"orm\"\n";
    let config = file("interrupt-config", config);
    let events = out.join("events.jsonl");
    let out_path = out.join("run");
    let args = ["--config", &config, "--out", out_path.to_str().unwrap(), "--events", events.to_str().unwrap()];
    let child = tdrm(&args).spawn().unwrap();
    // The fit of the reward model is long; wait until it has begun.
    while !fs::read_to_string(&events).is_ok_and(|text| text.contains("fit orm")) {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("interrupted; the same command resumes from"), "{message}");
    assert!(!out_path.join("report.html").exists() && !out_path.join("report.txt").exists());
    assert!(out_path.join("state/seed-7/sample-for-training.json").exists());
    fs::remove_dir_all(&out).unwrap();
}

/// Hugging Face checkpoints; the embedded model is one.
#[cfg(feature = "lm")]
mod lm {
    use super::{answers, folder, refused};
    use std::fs;
    use std::path::Path;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/model");

    fn number(line: &str, field: &str) -> f64 {
        serde_json::from_str::<serde_json::Value>(line).unwrap()[field].as_f64().unwrap()
    }

    #[test]
    fn a_bad_line_is_answered_and_the_next_one_too() {
        let lines = "{\"tokens\": [1, 99999]}\n{\"tokenz\": [1]}\nno json\n{\"tokens\": [1, 2]}\n";
        let got = answers(&["lm", "logits", "--last", "--model", MODEL], lines);
        assert!(got[0].contains("expected tokens below") && got[0].contains("99999"), "{}", got[0]);
        assert!(got[1].contains("unknown field `tokenz`"), "{}", got[1]);
        assert!(got[2].contains("error") && got[3].contains("\"logits\":["), "{got:?}");
    }

    #[test]
    fn a_model_runs_in_bfloat16_on_both_engines() {
        let logits = |flags: &[&str]| -> Vec<f64> {
            let got =
                answers(&[&["lm", "logits", "--last", "--model", MODEL], flags].concat(), "{\"tokens\": [1, 2, 3]}\n");
            let value: serde_json::Value = serde_json::from_str(&got[0]).unwrap();
            value["logits"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
        };
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let wanted = logits(&[]);
        for engine in ["fused", "composed"] {
            let got = logits(&["--dtype", "bf16", "--engine", engine]);
            let off: Vec<f64> = got.iter().zip(&wanted).map(|(a, b)| a - b).collect();
            assert!(off.iter().any(|x| *x != 0.0) && norm(&off) < 0.02 * norm(&wanted), "{engine}: {}", norm(&off));
        }
        assert!(refused(&["lm", "logits", "--model", MODEL, "--dtype", "fp8"]).contains("f32 or bf16"));
        if !cfg!(feature = "cuda") {
            assert!(refused(&["lm", "logits", "--model", MODEL, "--device", "cuda"]).contains("feature cuda"));
        }
    }

    #[test]
    fn generation_gives_new_tokens_only_and_the_same_ones_for_a_seed() {
        let line = "{\"tokens\": [1, 2, 3]}\n";
        let common = ["lm", "generate", "--model", MODEL, "--max-new-tokens", "5", "--ignore-eos"];
        for flags in [&["--greedy"][..], &["--temperature", "1", "--top-k", "0", "--seed", "3"]] {
            let run = || answers(&[&common[..], flags].concat(), line);
            let (first, second) = (run(), run());
            assert_eq!(first, second);
            let value: serde_json::Value = serde_json::from_str(&first[0]).unwrap();
            assert_eq!(value["tokens"].as_array().unwrap().len(), 5, "{value}");
            assert_eq!(value["finish"], "length");
        }
    }

    #[test]
    fn a_checkpoint_says_how_long_its_texts_are() {
        let directory = folder("lengths");
        for file in ["config.json", "model.safetensors"] {
            fs::copy(Path::new(MODEL).join(file), directory.join(file)).unwrap();
        }
        fs::write(directory.join("generation_config.json"), r#"{"max_length": 7, "num_beams": 1}"#).unwrap();
        let lines = "{\"tokens\": [1, 2, 3]}\n{\"tokens\": [1, 2, 3, 4, 5, 6, 7]}\n{\"tokens\": [1, 2, 3, 4, 5]}\n";
        let got = answers(&["lm", "generate", "--model", directory.to_str().unwrap(), "--ignore-eos"], lines);
        let tokens = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["tokens"].as_array().map(Vec::len)
        };
        assert_eq!((tokens(&got[0]), tokens(&got[1]), tokens(&got[2])), (Some(4), None, Some(2)));
        assert!(got[1].contains("max_length: expected more than the prompt's 7 tokens"), "{}", got[1]);
    }

    #[test]
    fn one_beam_more_than_none_scores_no_worse() {
        let line = "{\"prompt\": \"47+35-18:\"}\n";
        let score = |beams: &str| {
            let flags = [
                "lm",
                "generate",
                "--model",
                MODEL,
                "--num-beams",
                beams,
                "--max-new-tokens",
                "24",
                "--length-penalty",
                "0",
            ];
            let got = answers(&flags, line);
            (number(&got[0], "score"), got[0].clone())
        };
        let (two, six) = (score("2"), score("6"));
        assert!(six.0 >= two.0 - 1e-4 && two.0 < 0.0, "{two:?} {six:?}");
        assert!(six.1.contains("\"text\":\""), "{}", six.1);
        assert!(
            refused(&["lm", "generate", "--model", MODEL, "--num-beams", "2", "--temperature", "1"])
                .contains("--num-beams")
        );
    }

    #[test]
    fn gradients_are_told_by_name() {
        let got = answers(&["lm", "grads", "--model", MODEL], "{\"tokens\": [1, 2, 3]}\n{\"tokens\": [1]}\n");
        assert!(number(&got[0], "loss") > 0.0 && got[0].contains("model.norm.weight"), "{}", got[0]);
        assert!(got[1].contains("at least 2"), "{}", got[1]);
    }

    #[test]
    fn text_goes_to_tokens_and_back() {
        let encoded = answers(&["lm", "encode", "--model", MODEL], "{\"text\": \"12+7=\"}\n");
        let value: serde_json::Value = serde_json::from_str(&encoded[0]).unwrap();
        let line = format!("{{\"tokens\": {}}}\n", value["tokens"]);
        assert!(answers(&["lm", "decode", "--model", MODEL], &line)[0].contains("12+7="));
    }

    #[test]
    fn a_model_without_a_head_for_scores_is_refused() {
        assert!(refused(&["score", "--model", MODEL]).contains("no head for scores"));
        assert!(refused(&["lm", "logits", "--model", "/no/such/thing"]).contains("/no/such/thing/config.json"));
    }

    #[test]
    fn hostile_checkpoints_are_named() {
        let directory = folder("hostile");
        let path = directory.to_str().unwrap();
        let weights = fs::read(Path::new(MODEL).join("model.safetensors")).unwrap();
        let config = fs::read_to_string(Path::new(MODEL).join("config.json")).unwrap();
        let refusal = |config: &str, weights: &[u8]| {
            fs::write(directory.join("config.json"), config).unwrap();
            fs::write(directory.join("model.safetensors"), weights).unwrap();
            refused(&["lm", "logits", "--model", path])
        };
        assert!(refusal("{", &weights).contains("config.json"));
        assert!(refusal("[]", &weights).contains("expected an object"));
        assert!(refusal(&config, &weights[..weights.len() / 2]).contains("lies at bytes"));
        assert!(refusal(&config, &[255; 64]).contains("a header of"));
        assert!(refusal(&config, b"abc").contains("at least 8 bytes"));
        let wider = config.replace("\"intermediate_size\": ", "\"intermediate_size\": 1");
        assert!(refusal(&wider, &weights).contains("expected shape"));
        let more = config.replace("\"vocab_size\": ", "\"vocab_size\": 1");
        assert!(refusal(&more, &weights).contains("embed_tokens.weight: expected shape"));
        let huge = config.replace("\"vocab_size\": ", "\"vocab_size\": 99999");
        assert!(refusal(&huge, &weights).contains("embed_tokens.weight: expected shape"));
        let mut nan = weights.clone();
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(refusal(&config, &nan).contains("is not finite"));
        fs::remove_file(directory.join("model.safetensors")).unwrap();
        assert!(refused(&["lm", "logits", "--model", path]).contains("model.safetensors"));
    }
}
