//! With the feature `cuda`: compiles `src/cuda/kernels.cu` to PTX, once for each element type. Without it: nothing.
//!
//! nvcc is `$NVCC`, or that of `$CUDA_HOME` or `$CUDA_PATH`, or the one on the path; the compute capability is
//! `$CUDA_COMPUTE_CAP`, or 90. A driver compiles PTX for what it finds, so later GPUs run it too.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=src/cuda");
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH", "CUDA_COMPUTE_CAP"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return Ok(());
    }
    compile("f32", &[])?;
    compile("bf16", &["-DBFLOAT16"])
}

fn nvcc() -> PathBuf {
    let home = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os);
    let mut kits = home.map(|kit| PathBuf::from(kit).join("bin/nvcc"));
    env::var_os("NVCC").map(PathBuf::from).or_else(|| kits.find(|nvcc| nvcc.exists())).unwrap_or_else(|| "nvcc".into())
}

fn compile(name: &str, flags: &[&str]) -> Result<(), String> {
    let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run by cargo")?);
    let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "90".to_owned()).replace('.', "");
    let nvcc = nvcc();
    let mut command = Command::new(&nvcc);
    command.args(["--ptx", "-std=c++17", "-O3"]).arg(format!("-arch=compute_{capability}")).args(flags);
    let output = command.arg("src/cuda/kernels.cu").arg("-o").arg(folder.join(format!("{name}.ptx"))).output();
    let output = output.map_err(|error| {
        let path = nvcc.display();
        format!("{path} cannot be run ({error}): the feature cuda needs nvcc; `.ci/cuda` fetches it without root")
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("nvcc failed on kernels.cu for {name}:\n{}", String::from_utf8_lossy(&output.stderr)))
}
