//! Compiles the contract without protoc: messages and client.

use std::error::Error;

const FILES: [&str; 4] = [
    "../../proto/scotoma/v1/benchmark_service.proto",
    "../../proto/scotoma/v1/inference_service.proto",
    "../../proto/scotoma/v1/intervention.proto",
    "../../proto/scotoma/v1/model_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../../proto");
    println!("cargo:rerun-if-changed=build.rs");
    let files = protox::compile(FILES, ["../../proto"])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
