//! Compiles the contract in proto/ without protoc: the server's side of the services, and the
//! descriptor for reflection. The messages are the Rust client's.

use std::error::Error;
use std::path::PathBuf;

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
    std::fs::write(out.join("descriptor.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".scotoma.v1", "::scotoma_client::v1")
        .compile_fds(files)?;
    Ok(())
}
