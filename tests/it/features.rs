//! Features of sparse autoencoders over the wire: captures, edits, folders that do not fit.

use std::path::{Path, PathBuf};

use crate::common::{FOLDER, Running, model, picture};
use crate::interventions::{captured, of};
use prost::Message;
use scotoma::api::v1 as server;
use scotoma::model::SaePlace;
use scotoma::server::ServerConfig;
use scotoma_client::v1::{self, Reduction, tokens::Named};
use scotoma_client::{
    CaptureRequest, CaptureTarget, Client, GenerateRequest, Intervention, prompt,
};
use serde_json::{Value, json};
use tonic::Code;

/// Where the embedded autoencoder reads.
const POINT: &str = "language_model.blocks.1.hook_resid_post";
/// The last layer, to which a changed row goes on.
const LAST: &str = "language_model.blocks.7.hook_resid_post";

fn list(json: &Value) -> Vec<Intervention> {
    let list: Vec<server::Intervention> = serde_json::from_value(json.clone()).unwrap();
    list.iter()
        .map(|i| Intervention::decode(i.encode_to_vec().as_slice()).unwrap())
        .collect()
}

fn features(tokens: Named, top: u32) -> CaptureTarget {
    CaptureTarget {
        top,
        ..of(POINT, tokens, Reduction::TopFeatures)
    }
}

async fn capture(
    client: &mut Client,
    targets: Vec<CaptureTarget>,
    interventions: &Value,
) -> Vec<v1::Activation> {
    let request = CaptureRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        interventions: list(interventions),
        targets,
        ..Default::default()
    };
    captured(client, request).await.0
}

fn set(change: (&str, Value), features: &[u32], tokens: &Value) -> Value {
    let (name, value) = change;
    json!({"setFeature": {
        "target": {"point": POINT, "tokens": tokens}, "features": features, name: value,
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_that_is_set_to_what_it_is_changes_no_bit() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let targets = vec![
        features(Named::Visual, 3),
        of(LAST, Named::All, Reduction::None),
    ];
    let plain = capture(&mut client, targets.clone(), &json!([])).await;
    let read = &plain[0];
    assert_eq!((read.features.len(), read.tokens.len()), (36, 36));
    for (token, row) in read.tokens.iter().zip(&read.features) {
        assert!(row.values.is_sorted_by(|a, b| a >= b), "{row:?}");
        assert!(
            (1..=3).contains(&row.features.len()),
            "token {token}: {row:?}"
        );
    }
    let (token, row) = (read.tokens[8], &read.features[8]);
    let tokens = json!({"anyOf": [{"indices": {"indices": [token]}}]});
    let feature = [row.features[0]];
    for own in [
        ("clamp", json!(row.values[0])),
        ("scale", json!(1.0)),
        ("add", json!(0.0)),
    ] {
        let same = json!([set(own.clone(), &feature, &tokens)]);
        let found = capture(&mut client, targets.clone(), &same).await;
        assert_eq!(found[0].features, plain[0].features, "{own:?}");
        assert_eq!(found[1].data, plain[1].data, "{own:?}");
    }
    // Another value reaches the last layer, and is what is read of the row.
    let other = json!([set(
        ("clamp", json!(3.0 * row.values[0])),
        &feature,
        &tokens
    )]);
    let found = capture(&mut client, targets, &other).await;
    assert_ne!(found[1].data, plain[1].data);
    assert!(found[0].features[8].values[0] > 2.0 * row.values[0]);
    for (i, (found, plain)) in found[0].features.iter().zip(&plain[0].features).enumerate() {
        assert_eq!(found == plain, i != 8, "row {i}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_set_in_answers_too_and_a_sweep_gives_the_same() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let everywhere = json!({"anyOf": []});
    let changed = json!([set(("add", json!(2.0)), &[0, 5], &everywhere)]);
    let base = GenerateRequest {
        prompt: Some(prompt("How many squares are there?", [picture()])),
        max_tokens: 4,
        ..Default::default()
    };
    let grid = v1::SweepGrid {
        interventions: list(&changed),
        axes: vec![v1::SweepAxis {
            field: "interventions[0].set_feature.add".into(),
            values: Some(v1::sweep_axis::Values::Numbers(v1::SweepNumbers {
                values: vec![0.0, 2.0, 8.0],
            })),
        }],
    };
    let request = v1::SweepRequest {
        input: Some(v1::sweep_request::Input::Generate(base.clone())),
        grid: Some(grid),
        ..Default::default()
    };
    let mut stream = client.sweep(request).await.unwrap();
    let mut variants = 0;
    while let Some(message) = stream.message().await.unwrap() {
        let Some(v1::sweep_response::Event::Result(result)) = message.event else {
            continue;
        };
        let Some(v1::sweep_result::Outcome::Generated(swept)) = result.outcome else {
            panic!("no answer: {result:?}");
        };
        let add = [0.0, 2.0, 8.0][result.variant as usize];
        let alone = GenerateRequest {
            interventions: list(&json!([set(("add", json!(add)), &[0, 5], &everywhere)])),
            ..base.clone()
        };
        let alone = client
            .generate(alone)
            .await
            .unwrap()
            .finish()
            .await
            .unwrap();
        assert_eq!(swept.provenance, alone.provenance, "{add}");
        variants += 1;
    }
    assert_eq!(variants, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_feature_is_is_refused_by_field() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let at = |point: &str| json!({"point": point});
    let newline = json!({"point": POINT, "tokens": {"anyOf": [{"named": "NAMED_NEWLINE"}]}});
    for (wrong, expected, field) in [
        (
            json!({"target": at(POINT), "features": [0]}),
            Code::InvalidArgument,
            "set_feature.change",
        ),
        (
            json!({"target": at(POINT), "ablate": {}}),
            Code::InvalidArgument,
            "set_feature.features: 0 given",
        ),
        (
            json!({"target": at(POINT), "features": [1, 256], "ablate": {}}),
            Code::InvalidArgument,
            "256 is not below 256",
        ),
        (
            json!({"target": at(POINT), "features": [4, 4], "ablate": {}}),
            Code::InvalidArgument,
            "4 is given twice",
        ),
        (
            json!({"target": at(POINT), "features": [4], "clamp": "NaN"}),
            Code::InvalidArgument,
            "set_feature.clamp",
        ),
        (
            json!({"target": at(POINT), "features": [4], "add": 1e9}),
            Code::InvalidArgument,
            "set_feature.add",
        ),
        (
            json!({"target": at(POINT), "sae": "other", "features": [4], "scale": 2}),
            Code::NotFound,
            "no sparse autoencoder \"other\"; resident: shapes",
        ),
        (
            json!({"target": at("language_model.blocks.1.mlp.hook_post"), "features": [4], "ablate": {}}),
            Code::InvalidArgument,
            "set_feature.target.point",
        ),
        (
            json!({"target": at("language_model.blocks.1.attn.hook_pattern"), "features": [4], "ablate": {}}),
            Code::InvalidArgument,
            "attention has no rows",
        ),
        (
            json!({"target": {"point": POINT, "dimensions": [0]}, "features": [4], "ablate": {}}),
            Code::InvalidArgument,
            "set_feature.target.dimensions",
        ),
        (
            json!({"target": newline, "features": [4], "ablate": {}}),
            Code::FailedPrecondition,
            "never fired",
        ),
    ] {
        let request = GenerateRequest {
            prompt: Some(prompt("Is there a red circle?", [picture()])),
            interventions: list(&json!([{"setFeature": wrong}])),
            ..Default::default()
        };
        let result = async { client.generate(request).await?.finish().await };
        let error = result.await.map(|f| f.text).unwrap_err();
        assert_eq!(error.code(), Some(expected), "{error}");
        assert!(error.to_string().contains(field), "{error}");
    }
    for (target, field) in [
        (
            features(Named::All, 0),
            "targets[0].top: 0 is not in 1 to 1000",
        ),
        (
            CaptureTarget {
                prefix: 257,
                ..features(Named::All, 1)
            },
            "targets[0].prefix: 257",
        ),
        (
            CaptureTarget {
                sae: "x".into(),
                ..features(Named::All, 1)
            },
            "targets[0].sae",
        ),
        (
            CaptureTarget {
                sae: "shapes".into(),
                ..of(POINT, Named::All, Reduction::Mean)
            },
            "targets[0].sae",
        ),
        (
            CaptureTarget {
                prefix: 1,
                ..of(POINT, Named::All, Reduction::None)
            },
            "targets[0].prefix",
        ),
        (
            CaptureTarget {
                top: 1,
                ..of(
                    "language_model.hook_logits",
                    Named::Last,
                    Reduction::TopFeatures,
                )
            },
            "targets[0].target.point",
        ),
    ] {
        let request = CaptureRequest {
            prompt: Some(prompt("Is there a red circle?", [picture()])),
            targets: vec![target],
            ..Default::default()
        };
        let error = client.capture(request).await.err().unwrap();
        assert!(error.to_string().contains(field), "{error}");
    }
}

/// A change of a configuration.
type Change = fn(&mut Value);

/// A copy of a folder of the goldens with one file changed.
fn changed(scratch: &Path, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let folder = scratch.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for file in std::fs::read_dir(Path::new(FOLDER).join("saes").join(name)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let file = ["cfg.json", "config.json"].map(|file| folder.join(file));
    let file = file.iter().find(|file| file.is_file()).unwrap();
    let mut config = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    change(&mut config);
    std::fs::write(file, config.to_string()).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_autoencoder_says_which_one_it_needs() {
    let changed = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/shapes/sae");
    for name in ["cfg.json", "sae_weights.safetensors"] {
        std::fs::copy(from.join(name), changed.path().join(name)).unwrap();
    }
    let config = std::fs::read_to_string(from.join("cfg.json")).unwrap();
    let config = config.replace("\"model_name\": \"shapes\"", "\"model_name\": \"other\"");
    std::fs::write(changed.path().join("cfg.json"), config).unwrap();
    let mut other = ServerConfig::shapes();
    let place = SaePlace {
        folder: changed.path().to_owned(),
        point: None,
    };
    other.models[0].saes = vec![("shapes".into(), place)];
    let (server, other) = (
        Running::start(ServerConfig::shapes()).await,
        Running::start(other).await,
    );
    let mut client = server.client().await;
    let last = json!({"anyOf": [{"named": "NAMED_LAST"}]});
    let request = GenerateRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        interventions: list(&json!([set(("clamp", json!(20.0)), &[120], &last)])),
        ..Default::default()
    };
    let stream = client.generate(request).await.unwrap();
    let record = stream.finish().await.unwrap().provenance;
    let verify = || v1::VerifyRequest {
        provenance: record.clone(),
        images: vec![scotoma_client::image(picture())],
    };
    assert!(client.verify(verify()).await.unwrap().agrees);
    let found = other.client().await.verify(verify()).await.unwrap();
    let mut stages = found.differences.iter();
    let sae = stages.find(|own| own.stage == "sae").unwrap();
    assert!(sae.recorded.contains(POINT), "{sae:?}");
    assert!(sae.found.starts_with("shapes, digest "), "{sae:?}");
    // The memory of autoencoders is their model's.
    let info = client.get_model("").await.unwrap();
    assert_eq!(info.saes[0].bytes, (2 * 128 * 256 + 256 + 128) * 4);
}

#[test]
fn folders_that_do_not_fit_say_why() {
    let model = model("shapes");
    let scratch = tempfile::tempdir().unwrap();
    let fails = |folder: PathBuf, point: Option<&str>| {
        let point = point.map(str::to_owned);
        model
            .add_sae("x", &SaePlace { folder, point }, u64::MAX)
            .unwrap_err()
            .to_string()
    };
    let cases: [(&str, Change, &str); 17] = [
        (
            "saelens-standard",
            |_| {},
            "it reads rows of 16 numbers, and language_model.blocks.0.hook_resid_post of shapes has 128",
        ),
        (
            "saelens-standard",
            |c| c["architecture"] = json!("wavelet"),
            "architecture wavelet is not read; standard, topk",
        ),
        (
            "saelens-standard",
            |c| c["normalize_activations"] = json!("expected_average_only_in"),
            "fold the factor",
        ),
        (
            "saelens-standard",
            |c| c["surprise"] = json!(1),
            "surprise is not a field",
        ),
        (
            "saelens-standard",
            |c| c["metadata"]["hook_name"] = json!("blocks.{l}.hook_resid_post"),
            "is no hook point of one layer",
        ),
        (
            "saelens-standard",
            |c| c["metadata"]["hook_name"] = Value::Null,
            "names no hook point",
        ),
        (
            "saelens-standard",
            |c| c["metadata"]["hook_name"] = json!("blocks.9.hook_resid_post"),
            "layer 9 is not in 0 to 7",
        ),
        (
            "saelens-topk",
            |c| c["k"] = json!(25),
            "k 25 is not in 1 to the 24 features",
        ),
        (
            "saelens-standard",
            |c| c["k"] = json!(8),
            "k is 8, and architecture standard has no use for it; k is of topk",
        ),
        (
            "saelens-jumprelu",
            |c| c["rescale_acts_by_decoder_norm"] = json!(true),
            "rescale_acts_by_decoder_norm is true, and architecture jumprelu has no use",
        ),
        (
            "saelens-gated",
            |c| c["d_out"] = json!(16),
            "d_out is 16, and architecture gated has no use for it; d_out is of transcoders",
        ),
        (
            "saelens-3",
            |c| c["activation_fn_kwargs"]["threshold"] = json!(0.5),
            "activation_fn_kwargs.threshold is not read; k is",
        ),
        (
            "dictionary-AutoEncoder",
            |c| c["trainer"]["k"] = json!(4),
            "trainer.k is 4, and AutoEncoder has no use for it",
        ),
        (
            "saelens-topk",
            |c| c["d_in"] = json!(-1),
            "d_in is -1; 1 to",
        ),
        (
            "dictionary-BatchTopKSAE",
            |c| c["trainer"]["dict_class"] = json!("CrossCoder"),
            "dict_class CrossCoder is not read; AutoEncoder",
        ),
        (
            "dictionary-MatryoshkaBatchTopKSAE",
            |c| c["trainer"]["group_sizes"] = json!([6, 6]),
            "do not add up to dict_size 24",
        ),
        (
            "dictionary-AutoEncoder",
            |c| c["trainer"]["submodule_name"] = Value::Null,
            "names no hook point",
        ),
    ];
    for (i, (name, change, expected)) in cases.into_iter().enumerate() {
        let folder = changed(&scratch.path().join(i.to_string()), name, change);
        let error = fails(folder, None);
        assert!(error.contains(expected), "{name}: {error}");
    }
    // Tensors: a model as wide as the autoencoder gets to see them.
    let tiny = scotoma::model::SparseAutoencoder::read;
    let weights: [(&str, Change, &str); 5] = [
        (
            "saelens-standard",
            |c| c["architecture"] = json!("jumprelu"),
            "missing tensor threshold",
        ),
        (
            "saelens-jumprelu",
            |c| c["architecture"] = json!("standard"),
            "unused tensors: threshold",
        ),
        (
            "saelens-standard",
            |c| c["d_sae"] = json!(25),
            "the configuration implies",
        ),
        // A field that says nothing is none.
        (
            "saelens-standard",
            |c| {
                c["k"] = Value::Null;
                c["activation_fn_kwargs"] = json!({});
                c["d_sae"] = json!(25);
            },
            "has shape",
        ),
        (
            "dictionary-AutoEncoder",
            |c| c["trainer"]["dict_class"] = json!("AutoEncoderNew"),
            "missing tensor decoder.bias",
        ),
    ];
    for (i, (name, change, expected)) in weights.into_iter().enumerate() {
        let folder = changed(&scratch.path().join(format!("w{i}")), name, change);
        let error = tiny(&SaePlace {
            folder,
            point: None,
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let nothing = fails(scratch.path().to_owned(), None);
    assert!(
        nothing.contains("neither cfg.json nor config.json"),
        "{nothing}"
    );
    let pattern = "language_model.blocks.0.attn.hook_pattern";
    let folder = Path::new(FOLDER).join("saes/saelens-standard");
    let attention = fails(folder, Some(pattern));
    assert!(attention.contains("attention has no rows"), "{attention}");
    // What is good after all this: the one in the binary, listed alone.
    let names: Vec<String> = model
        .sparse_autoencoders()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["shapes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_list_their_autoencoders() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let models = client.list_models().await.unwrap();
    let [sae] = models[0].saes.as_slice() else {
        panic!("one is in the binary: {:?}", models[0].saes);
    };
    assert_eq!(
        (sae.name.as_str(), sae.hook_point.as_str()),
        ("shapes", POINT)
    );
    assert_eq!(
        (sae.features, sae.width, sae.k, sae.transcoder),
        (256, 128, 8, false)
    );
    assert_eq!(sae.activation(), v1::sae_info::Activation::TopK);
    assert_eq!((sae.class_name.as_str(), sae.digest.len()), ("topk", 64));
}
