//! Compiles the contract in proto/ without protoc: messages, server, canonical JSON and the descriptor for reflection.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

const FILES: [&str; 4] = [
    "proto/scotoma/v1/benchmark_service.proto",
    "proto/scotoma/v1/inference_service.proto",
    "proto/scotoma/v1/intervention.proto",
    "proto/scotoma/v1/model_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let files = protox::compile(FILES, ["proto"])?;
    let descriptor = files.encode_to_vec();
    std::fs::write(out.join("descriptor.bin"), &descriptor)?;
    tonic_prost_build::configure().build_client(false).compile_fds(files)?;
    pbjson_build::Builder::new().register_descriptors(&descriptor)?.out_dir(Path::new(&out)).build(&[".scotoma.v1"])?;
    Ok(())
}
