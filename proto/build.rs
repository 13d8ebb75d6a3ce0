//! Compiles the contract without protoc: messages, their canonical JSON, services, the descriptor
//! for reflection, and the table of interventions.

use std::collections::BTreeMap;
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
    // The descriptor was encoded above: this takes the files.
    tonic_prost_build::configure().compile_fds(files)?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptor)?
        .build(&[".scotoma.v1"])?;
    // pbjson names its file after the package.
    let json = out.join("scotoma.v1.serde.rs");
    std::fs::write(&json, name_both_members(&std::fs::read_to_string(&json)?))?;
    Ok(())
}

/// Rewrites the readers of canonical JSON: where a second member of a oneof comes, which they call
/// a duplicate field, the error names both and the oneof.
fn name_both_members(code: &str) -> String {
    let lines: Vec<&str> = code.lines().collect();
    let mut rewritten = String::with_capacity(code.len());
    // Sorted, so that the same contract makes the same code.
    let mut oneofs: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (i, line) in lines.iter().enumerate() {
        let Some((json, oneof, variant)) = member(line, &lines[i + 1..]) else {
            rewritten.extend([line, "\n"]);
            continue;
        };
        oneofs.entry(oneof).or_default().push((variant, json));
        // Above it stands `if kind__.is_some() {`.
        // Were it not found, the line that is written below would not compile.
        let variable = between(lines[i - 1], "if ", ".is_some()").unwrap_or_default();
        let name = variable.trim_end_matches('_');
        let _ = writeln!(
            rewritten,
            "return Err(crate::oneof::second_member({variable}.as_ref().map({oneof}::json_name), \
             \"{json}\", \"{name}\"));"
        );
    }
    for (oneof, members) in oneofs {
        let arms = members.iter();
        let arms = arms.map(|(variant, json)| format!("Self::{variant}(_) => \"{json}\",\n"));
        let _ = writeln!(
            rewritten,
            "impl {oneof} {{ fn json_name(&self) -> &'static str {{ match self {{ {} }} }} }}",
            arms.collect::<String>()
        );
    }
    rewritten
}

/// Returns the JSON name, the oneof and the variant of a member whose second coming `line` refuses;
/// `rest` follows the line. `None` where it refuses no member of a oneof.
fn member<'a>(line: &'a str, rest: &[&'a str]) -> Option<(&'a str, &'a str, &'a str)> {
    let json = between(line, "duplicate_field(\"", "\")")?;
    let is_upper = |name: &str| name.starts_with(char::is_uppercase);
    // Behind a closing brace the value is read, up to the next one:
    // `kind__ = ...map(intervention::Kind::BlankImage)`.
    let read = rest.iter().skip(1).take_while(|line| line.trim() != "}");
    let mut paths =
        read.flat_map(|line| line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')));
    paths.find_map(|path| {
        let (oneof, variant) = path.rsplit_once("::")?;
        let (module, name) = oneof.split_once("::")?;
        let is_path = !module.is_empty() && !module.contains(':') && !name.contains(':');
        (is_path && !is_upper(module) && is_upper(name) && is_upper(variant))
            .then_some((json, oneof, variant))
    })
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
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
