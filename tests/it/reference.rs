//! proto/interventions.md: a page on every intervention, made from the comments of the contract.
//! With UPDATE_REFERENCE set it is written; else it must be what the contract says.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

/// Comments by their place in the file.
type Comments = HashMap<Vec<i32>, String>;

const HEAD: &str = "# Interventions\n\nMade from intervention.proto by tests/it/reference.rs; change the contract, not this page \
    (`UPDATE_REFERENCE=1 cargo test --release --test it reference::`). A request lists interventions; in canonical JSON one is \
    `{\"NAME\": {FIELDS}}`, names in camelCase. The formula, its source and its law stand at the head of each file in \
    src/intervention/spec/.\n\n";

fn comments(file: &FileDescriptorProto) -> Comments {
    let info = file.source_code_info.as_ref().unwrap();
    let text = |l: &prost_types::source_code_info::Location| {
        let lines = l.leading_comments.clone().unwrap_or_default();
        (
            l.path.clone(),
            lines.lines().map(str::trim).collect::<Vec<_>>().join(" "),
        )
    };
    info.location.iter().map(text).collect()
}

fn values(out: &mut String, comments: &Comments, path: &[i32], listed: &EnumDescriptorProto) {
    for (i, value) in listed.value.iter().enumerate().skip(1) {
        let path = [path, &[2, i as i32]].concat();
        writeln!(out, "  - `{}`: {}", value.name(), comments[&path]).unwrap();
    }
}

fn message(out: &mut String, comments: &Comments, path: &[i32], message: &DescriptorProto) {
    writeln!(out, "{}\n", comments[path]).unwrap();
    for (i, field) in message.field.iter().enumerate() {
        let kind = match field.r#type() {
            Type::Message | Type::Enum => field.type_name().rsplit('.').next().unwrap().to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        let many = if field.label() == prost_types::field_descriptor_proto::Label::Repeated {
            " list"
        } else {
            ""
        };
        let text = &comments[&[path, &[2, i as i32]].concat()];
        let choice = field
            .oneof_index
            .filter(|_| !field.proto3_optional())
            .map(|o| message.oneof_decl[o as usize].name());
        let choice = choice.map_or(String::new(), |name| format!(" (one of `{name}`)"));
        writeln!(out, "- `{}` {kind}{many}{choice}: {text}", field.name()).unwrap();
        if let Some((e, own)) = message
            .enum_type
            .iter()
            .enumerate()
            .find(|(_, e)| e.name() == kind)
        {
            values(out, comments, &[path, &[4, e as i32]].concat(), own);
        }
    }
    out.push('\n');
}

#[test]
fn the_reference_says_what_the_contract_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let files = protox::compile(["scotoma/v1/intervention.proto"], [&root]).unwrap();
    let file = &files.file[0];
    let comments = comments(file);
    let mut out = HEAD.to_owned();
    let named = |name: &str| {
        file.message_type
            .iter()
            .position(|m| m.name() == name)
            .unwrap()
    };
    let interventions = &file.message_type[named("Intervention")];
    let mut shown = vec![named("Intervention")];
    for (i, field) in interventions.field.iter().enumerate() {
        let index = named(field.type_name().rsplit('.').next().unwrap());
        shown.push(index);
        let short = &comments[&vec![4, named("Intervention") as i32, 2, i as i32]];
        writeln!(out, "## {}\n\n**{short}** ", field.name()).unwrap();
        if ["shuffle_patches", "occlude_patches"].contains(&field.name()) {
            writeln!(
                out,
                "\n![as the model sees it](pictures/{}.png)\n",
                field.name()
            )
            .unwrap();
        }
        message(
            &mut out,
            &comments,
            &[4, index as i32],
            &file.message_type[index],
        );
    }
    out.push_str("# What they are made of\n\n");
    for (i, part) in file
        .message_type
        .iter()
        .enumerate()
        .filter(|(i, _)| !shown.contains(i))
    {
        writeln!(out, "## {}\n", part.name()).unwrap();
        message(&mut out, &comments, &[4, i as i32], part);
    }
    for (i, listed) in file.enum_type.iter().enumerate() {
        writeln!(
            out,
            "## {}\n\n{}\n",
            listed.name(),
            comments[&vec![5, i as i32]]
        )
        .unwrap();
        values(&mut out, &comments, &[5, i as i32], listed);
        out.push('\n');
    }
    let page = root.join("interventions.md");
    let out = format!("{}\n", out.trim_end());
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&page, &out).unwrap();
    }
    assert!(
        std::fs::read_to_string(page).unwrap_or_default() == out,
        "run it with UPDATE_REFERENCE=1"
    );
}
