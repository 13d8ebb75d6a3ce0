//! Files of others beside models: tables of benchmarks, and sparse autoencoders.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use scotoma::benchmark::data::{ItemReader, header, row};
use scotoma::benchmark::shapes;
use scotoma::model::{SaePlace, SparseAutoencoder};

use crate::common;
use crate::harness::fuzz;
use crate::targets::{Copy, TENSORS, names};

/// Rows of a table that are read; changed lengths may make many of few bytes.
const ROWS: usize = 1000;

/// Every table that is there in Parquet, of each encoding and codec.
fn parquet() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tables");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|e| e == "parquet"))
        .collect();
    // In one order: a seed's number chooses it.
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

#[test]
fn tables() {
    let items = shapes().unwrap();
    let rows = items.iter().take(3).map(|item| row(item, &[], true));
    let tsv: Vec<String> = std::iter::once(header(&[], true)).chain(rows).collect();
    let csv =
        "index,question,A,B,answer\n1,\"Is it, or not?\",yes,\"a \"\"b\"\"\nc\",A\n2,Why?,x,y,B\n";
    let jsonl = r#"{"index": 1, "question": "Is it?", "options": ["yes", "no"], "answer": "A", "category": {"a": [1, null]}}"#;
    let folder = tempfile::tempdir().unwrap();
    for (target, name, seeds) in [
        ("parquet", "table.parquet", parquet()),
        ("tsv", "table.tsv", vec![tsv.join("\n").into_bytes()]),
        ("csv", "table.csv", vec![csv.into()]),
        (
            "jsonl",
            "table.jsonl",
            vec![format!("{jsonl}\n{jsonl}\n").into(), jsonl.into()],
        ),
    ] {
        let file = folder.path().join(name);
        let places = [name, "line ", "row "];
        fuzz(target, &seeds, |input| {
            std::fs::write(&file, input).unwrap();
            let rows = match ItemReader::open(&file) {
                Ok(rows) => rows,
                Err(error) => return names(&error.to_string(), &places),
            };
            let mut errors = rows.take(ROWS).filter_map(Result::err);
            errors.try_for_each(|error| names(&error.to_string(), &places))
        });
    }
}

/// Autoencoders of each library: one that is read is run as well.
#[test]
fn autoencoders() {
    for (target, set, file) in [
        ("sae", "saelens-standard", "sae_weights.safetensors"),
        ("sae_config", "saelens-jumprelu", "cfg.json"),
        ("sae_pickle", "dictionary-AutoEncoderTopK", "ae.pt"),
        (
            "sae_dictionary",
            "dictionary-MatryoshkaBatchTopKSAE",
            "config.json",
        ),
    ] {
        let copy = Copy::of_folder(&Path::new(common::FOLDER).join("saes").join(set), file);
        let seed = copy.seed();
        let folder = copy.folder.path().to_owned();
        let place = folder.display().to_string();
        let also = [&TENSORS[..], &[file, place.as_str()][..]].concat();
        fuzz(target, &[seed], |input| {
            copy.with(input);
            let point = Some("language_model.blocks.1.hook_resid_post".to_owned());
            let folder = folder.clone();
            match SparseAutoencoder::read(&SaePlace { folder, point }) {
                Ok(sae) => {
                    let x = Tensor::ones((2, sae.width()), DType::F32, &Device::Cpu);
                    let _ = x.and_then(|x| sae.strongest(&x, 3, sae.features()));
                    Ok(())
                }
                Err(error) => names(&error.to_string(), &also),
            }
        });
    }
}
