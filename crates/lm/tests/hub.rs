//! A download from a hub on this machine.
#![cfg(feature = "hub")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

const COMMIT: &str = "0123456789012345678901234567890123456789";

/// Answers one request as the hub does: the list of files, or a range of one.
fn answer(mut stream: TcpStream, files: &[(String, Vec<u8>)]) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range = headers.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let mut reply = |status: &str, head: &str, body: &[u8]| {
        let length = body.len();
        let _ = write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n");
        let _ = stream.write_all(body);
    };
    if path == "/api/models/me/tiny/revision/main" {
        let list: Vec<_> = files.iter().map(|(name, _)| serde_json::json!({"rfilename": name})).collect();
        let body = serde_json::json!({"sha": COMMIT, "siblings": list}).to_string();
        return reply("200 OK", "Content-Type: application/json\r\n", body.as_bytes());
    }
    let file = path.strip_prefix("/me/tiny/resolve/main/");
    let Some((name, body)) = file.and_then(|file| files.iter().find(|(name, _)| name == file)) else {
        return reply("404 Not Found", "", b"");
    };
    let (first, last) = range.as_deref().and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
    let first: usize = first.parse().unwrap_or(0);
    let last = last.parse().unwrap_or(usize::MAX).min(body.len() - 1);
    let total = body.len();
    let head = format!(
        "ETag: \"{name}\"\r\nX-Repo-Commit: {COMMIT}\r\nAccept-Ranges: bytes\r\nContent-Range: bytes {first}-{last}/{total}\r\n"
    );
    reply("206 Partial Content", &head, &body[first..=last]);
}

/// The test runs itself again with the environment of a hub, as the process's own must not change.
#[test]
fn a_model_comes_by_its_name() {
    if let Ok(wanted) = std::env::var("TDRM_TEST_HUB_FILES") {
        let directory = tdrm_lm::hub::download("me/tiny", "main", false).unwrap();
        let model = tdrm_lm::Model::load(&directory).unwrap();
        assert!(model.logits(&[1, 2, 3]).unwrap().iter().all(|x| x.is_finite()));
        assert_eq!(fs::read_dir(&directory).unwrap().count().to_string(), wanted);
        let error = tdrm_lm::hub::download("me/absent", "main", false).unwrap_err().to_string();
        assert!(error.contains("me/absent") && error.contains("404"), "{error}");
        return;
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/model");
    let mut files: Vec<_> = ["config.json", "model.safetensors", "tokenizer.json"]
        .map(|name| (name.to_owned(), fs::read(model.join(name)).unwrap()))
        .to_vec();
    files.push(("README.md".to_owned(), b"not fetched".to_vec()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(stream, &files);
        }
    });
    let home = std::env::temp_dir().join(format!("tdrm-lm-hub-{}", std::process::id()));
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["a_model_comes_by_its_name", "--exact", "--nocapture"])
        .env("HF_HOME", &home)
        .env("HF_ENDPOINT", endpoint)
        .env("TDRM_TEST_HUB_FILES", "3")
        .output()
        .unwrap();
    let _ = fs::remove_dir_all(&home);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
