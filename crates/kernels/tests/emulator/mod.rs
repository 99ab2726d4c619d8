//! Runs launches of the kernels for Nvidia GPUs on the processor; see `emulator.cpp`.
//!
//! Needs a C++ compiler: `CXX`, or `c++`.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tdrm_kernels::cuda::{Element, Kind, Launch};

/// Bytes of an element.
pub(crate) fn size(kind: Kind, element: Element) -> usize {
    match (kind, element) {
        (Kind::Element, Element::Bf16) => 2,
        (Kind::F64, _) => 8,
        _ => 4,
    }
}

/// Runs a launch on the bytes of its operands; nothing where there is no compiler.
pub(crate) fn run(element: Element, launch: &Launch, operands: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let program = program(element)?;
    for (bytes, operand) in operands.iter().zip(launch.operands()) {
        assert_eq!(bytes.len(), operand.len * size(operand.kind, element), "{}: {operand:?}", launch.kernel());
    }
    assert_eq!(operands.len(), launch.operands().len(), "{}", launch.kernel());
    let mut child =
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&request(launch, operands)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}: {}", launch.kernel(), String::from_utf8_lossy(&output.stderr));
    let mut rest = output.stdout.as_slice();
    let mut next = |bytes: &Vec<u8>| {
        let (own, others) = rest.split_at(bytes.len());
        rest = others;
        own.to_vec()
    };
    Some(operands.iter().map(&mut next).collect())
}

fn request(launch: &Launch, operands: &[Vec<u8>]) -> Vec<u8> {
    let mut request = (launch.kernel().len() as u32).to_ne_bytes().to_vec();
    request.extend(launch.kernel().bytes());
    let arguments = operands.len() + launch.scalars().len();
    for x in launch.grid().into_iter().chain([launch.threads(), launch.shared(), arguments as u32]) {
        request.extend(x.to_ne_bytes());
    }
    let mut argument = |kind: u32, bytes: &[u8]| {
        request.extend(kind.to_ne_bytes());
        request.extend((bytes.len() as u64).to_ne_bytes());
        request.extend(bytes);
    };
    for bytes in operands {
        argument(0, bytes);
    }
    for scalar in launch.scalars() {
        argument(1, &scalar.bytes());
    }
    request
}

/// The kernels of an element type as a program, if there is a compiler.
fn program(element: Element) -> Option<&'static Path> {
    static PROGRAMS: [OnceLock<Option<PathBuf>>; 2] = [OnceLock::new(), OnceLock::new()];
    PROGRAMS[usize::from(element == Element::Bf16)].get_or_init(|| compile(element)).as_deref()
}

/// Compiles beside the test, once for each content of the sources.
fn compile(element: Element) -> Option<PathBuf> {
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels");
    let folders = [kernels.join("src/cuda"), kernels.join("tests/emulator")];
    let program = std::env::current_exe().unwrap();
    let program = program.with_file_name(format!("emulator-{element:?}-{:016x}", hash(&folders)));
    if program.exists() {
        return Some(program);
    }
    let unfinished = program.with_extension(std::process::id().to_string());
    let mut command = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    command.args(["-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Wno-unknown-pragmas", "-Werror"]);
    command.arg("-I").arg(&folders[0]).arg("-I").arg(&folders[1]);
    if element == Element::Bf16 {
        command.arg("-DBFLOAT16");
    }
    match command.arg(folders[1].join("emulator.cpp")).arg("-o").arg(&unfinished).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            std::fs::rename(unfinished, &program).unwrap();
            Some(program)
        }
        Err(error) => {
            eprintln!("NOT CHECKED: no C++ compiler ({error}), so the kernels for Nvidia GPUs did not run");
            None
        }
    }
}

fn hash(folders: &[PathBuf]) -> u64 {
    let files = folders.iter().flat_map(|folder| folder.read_dir().unwrap()).map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}
