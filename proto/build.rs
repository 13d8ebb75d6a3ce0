//! Compiles the contract without protoc: messages, their canonical JSON, services, the descriptor
//! for reflection, and the table of interventions.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use prost::Message as _;
use protox::prost_reflect::DescriptorPool;

const FILES: [&str; 4] = [
    "scotoma/v1/benchmark_service.proto",
    "scotoma/v1/inference_service.proto",
    "scotoma/v1/intervention.proto",
    "scotoma/v1/model_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=scotoma");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let files = protox::compile(FILES, ["."])?;
    let descriptor = files.encode_to_vec();
    std::fs::write(out.join("descriptor.bin"), &descriptor)?;
    std::fs::write(out.join("interventions.rs"), interventions(&descriptor)?)?;
    tonic_prost_build::configure().compile_fds(files)?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptor)?
        .build(&[".scotoma.v1"])?;
    Ok(())
}

/// Returns the macro that hands every kind of `Intervention` to another macro, so that no list of
/// them is kept by hand.
fn interventions(descriptor: &[u8]) -> Result<String, Box<dyn Error>> {
    let pool = DescriptorPool::decode(descriptor)?;
    let message = pool
        .get_message_by_name("scotoma.v1.Intervention")
        .ok_or("the contract has no message Intervention")?;
    let kind = message
        .oneofs()
        .find(|oneof| oneof.name() == "kind")
        .ok_or("Intervention has no oneof kind")?;
    let mut rows = String::new();
    for field in kind.fields() {
        let kind = field.kind();
        let message = kind.as_message().ok_or("an intervention is a message")?;
        writeln!(rows, "            {} {},", message.name(), field.name())?;
    }
    Ok(format!(
        "/// Calls `$table!` with `Message field,` for each kind of intervention, in the order of\n\
         /// the contract.\n\
         #[macro_export]\n\
         macro_rules! for_each_intervention {{\n    ($table:ident) => {{\n        $table! {{\n{rows}        }}\n    }};\n}}\n"
    ))
}
