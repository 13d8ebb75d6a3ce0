//! Writes clients/rust/src/v1: what the contract compiles to. `make proto` runs it.

use std::error::Error;
use std::path::Path;

use prost::Message as _;

const FILES: [&str; 4] = [
    "scotoma/v1/benchmark_service.proto",
    "scotoma/v1/inference_service.proto",
    "scotoma/v1/intervention.proto",
    "scotoma/v1/model_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = client.join("src/v1");
    let files = protox::compile(FILES, [client.join("../../proto")])?;
    let descriptor = files.encode_to_vec();
    tonic_prost_build::configure()
        .build_server(false)
        .out_dir(&out)
        .compile_fds(files)?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptor)?
        .out_dir(&out)
        .build(&[".scotoma.v1"])?;
    for name in ["scotoma.v1.rs", "scotoma.v1.serde.rs"] {
        let text = std::fs::read_to_string(out.join(name))?;
        let mark =
            "// Generated from proto/scotoma/v1 by clients/rust/generate; not to be edited.\n";
        std::fs::write(out.join(name), format!("{mark}{text}"))?;
    }
    Ok(())
}
