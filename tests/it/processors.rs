//! Pixel values of 210 pictures a family by each image processor, to the bit
//! (tests/goldens/processors.json, written by processors.py).

use std::collections::BTreeMap;

use crate::common::{Running, picture, source};
use scotoma::server::{ModelSpec, ServerConfig};
use scotoma::vision::{Processor, ProcessorBackend, Rgb, Size, Tiling};
use scotoma_client::{Error, GenerateRequest, prompt, v1};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tonic::Code;

/// Side, width, height, views, half the SHA-256 of the values, the first value.
#[derive(Deserialize)]
struct Row(usize, usize, usize, usize, String, f32);

/// Pixels that a picture may be padded to.
const LIMIT: u64 = 1 << 20;

const CLIP: ([f32; 3], [f32; 3]) = (
    [0.481_454_66, 0.457_827_5, 0.408_210_73],
    [0.268_629_54, 0.261_302_6, 0.275_777_1],
);

/// `(7 x + 13 y + 29 c + x y) mod 256`, as processors.py draws it.
fn pattern(width: usize, height: usize) -> Rgb {
    let value = |y: usize, x: usize, c: usize| ((7 * x + 13 * y + 29 * c + x * y) % 256) as u8;
    let pixel = |y, x| (0..3).map(move |c| value(y, x, c));
    let data = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| pixel(y, x)))
        .collect();
    Rgb {
        width,
        height,
        data,
    }
}

fn config(family: &str, side: usize) -> (Value, Tiling) {
    let tiles = |grid: Vec<Size>| {
        grid.into_iter()
            .map(|(rows, columns)| (rows * side, columns * side))
            .collect::<Vec<_>>()
    };
    let next = tiles(vec![(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)]);
    let onevision = tiles(
        (1..=6)
            .flat_map(|rows| (1..=6).map(move |columns| (rows, columns)))
            .collect(),
    );
    let short = json!({
        "size": { "shortest_edge": side }, "crop_size": { "height": side, "width": side }, "image_mean": CLIP.0,
        "image_std": CLIP.1, "do_pad": family == "llava_padded", "image_grid_pinpoints": next,
    });
    let square = json!({
        "size": { "height": side, "width": side }, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "image_grid_pinpoints": onevision,
    });
    let stretched = json!({
        "size": { "height": side, "width": side }, "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225], "crop_to_patches": true,
    });
    match family {
        "internvl" => (stretched, Tiling::Stretched),
        "pixtral" => {
            let patch = if side == 28 { 7 } else { 16 };
            let kept = json!({
                "size": { "longest_edge": side }, "patch_size": { "height": patch, "width": patch },
                "image_mean": CLIP.0, "image_std": CLIP.1,
            });
            (kept, Tiling::AnySize { patch })
        }
        "llava" | "llava_padded" => (short, Tiling::None),
        "llava_next" => (short, Tiling::Always),
        _ => (square, Tiling::Alone),
    }
}

fn digest(values: impl Iterator<Item = f32>) -> String {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(value.to_le_bytes());
    }
    hash.finalize()
        .iter()
        .take(16)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn each_processor_has_the_bits_of_its_library() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/processors.json");
    let all: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for backend in ProcessorBackend::ALL {
        for (family, rows) in all[backend.name()]
            .iter()
            .filter(|(name, _)| *name != "versions")
        {
            let rows: Vec<Row> = serde_json::from_value(rows.clone()).unwrap();
            assert_eq!(rows.len(), 210);
            let together = if family == "llava_onevision_padded" {
                2
            } else {
                1
            };
            for Row(side, width, height, views, sha256, first) in rows {
                let (json, tiling) = config(family, side);
                let processor = Processor::from_json(&json, side, tiling, Some(backend)).unwrap();
                let picture = processor
                    .picture(&pattern(width, height), together, LIMIT)
                    .unwrap();
                let found = picture.views();
                let values: Vec<f32> = found
                    .iter()
                    .flat_map(|view| processor.normalise(view))
                    .collect();
                let at = format!("{} {family} {width} x {height} at {side}", backend.name());
                assert_eq!(found.len(), views, "{at}");
                assert_eq!(
                    digest(values.iter().copied()),
                    sha256,
                    "{at}: the first value is {}, not {first}",
                    values[0]
                );
            }
            println!("{:<12} {family:<24} 210 of 210 equal", backend.name());
        }
    }
}

#[test]
fn squares_that_strips_would_be_padded_to_are_refused_before_they_are_made() {
    let processor = |family| {
        let (json, tiling) = config(family, 28);
        Processor::from_json(&json, 28, tiling, None).unwrap()
    };
    let padded = [("llava_padded", 1), ("llava_onevision_padded", 2)];
    for (family, together) in padded {
        let processor = processor(family);
        let strip = |width| processor.picture(&Rgb::filled(width, 1, [9; 3]), together, LIMIT);
        assert_eq!(
            strip(100_000).unwrap_err().to_string(),
            "the picture of 100000 x 1 pixels is padded to 100000 x 100000, the limit is 1048576 \
             pixels"
        );
        assert_eq!(strip(1024).unwrap().views().len(), 1);
        // What the turn is paid by.
        assert_eq!(processor.pixels((1, 1000), together), 1_000_000);
        assert_eq!(processor.pixels((1000, 1), together), 1_000_000);
    }
    for (family, together) in [("llava", 1), ("llava_next", 2), ("llava_onevision", 1)] {
        assert_eq!(processor(family).pixels((1, 1000), together), 1000);
    }
}

#[test]
fn strips_that_resizing_makes_too_long_are_told_so() {
    let (json, tiling) = config("llava", 28);
    let processor = Processor::from_json(&json, 28, tiling, None).unwrap();
    let strip = |height| processor.picture(&Rgb::filled(1, height, [9; 3]), 1, LIMIT);
    // 28 * 2340 = 65520.
    strip(2340).unwrap();
    assert_eq!(
        strip(3000).unwrap_err().to_string(),
        "the picture of 1 x 3000 pixels has an edge of 84000 pixels after resizing; up to 65536 \
         are supported"
    );
}

#[test]
fn settings_that_would_wipe_pixels_out_are_refused() {
    for (field, value, says) in [
        (
            "rescale_factor",
            json!(0),
            "rescale_factor 0; a number above 0",
        ),
        (
            "rescale_factor",
            json!(-0.5),
            "rescale_factor -0.5; a number above 0",
        ),
        (
            "rescale_factor",
            json!(1e300),
            "makes all pixels equal, or infinite",
        ),
        (
            "rescale_factor",
            json!(1e-300),
            "makes all pixels equal, or infinite",
        ),
        (
            "image_mean",
            json!([0.5, 1e39, 0.5]),
            "image_mean [0.5, inf, 0.5]; finite numbers",
        ),
        (
            "image_std",
            json!([0.5, 0.5, 1e-42]),
            "makes all pixels equal, or infinite",
        ),
    ] {
        for backend in ProcessorBackend::ALL {
            let (mut json, tiling) = config("llava", 28);
            json[field] = value.clone();
            let error = Processor::from_json(&json, 28, tiling, Some(backend)).unwrap_err();
            assert!(error.to_string().contains(says), "{field} {value}: {error}");
        }
    }
}

#[test]
fn the_default_goes_by_the_class_that_the_checkpoint_names() {
    let backend = |class: Value| {
        let (mut json, tiling) = config("llava", 28);
        json["image_processor_type"] = class;
        Processor::from_json(&json, 28, tiling, None)
            .unwrap()
            .backend
    };
    assert_eq!(
        backend("CLIPImageProcessorFast".into()),
        ProcessorBackend::Torchvision
    );
    for class in ["CLIPImageProcessor", "LlavaNextImageProcessorPil"] {
        assert_eq!(backend(class.into()), ProcessorBackend::Pillow);
    }
    assert_eq!(backend(Value::Null), ProcessorBackend::Pillow);
}

#[test]
fn records_name_every_processor_but_the_first() {
    let (json, tiling) = config("llava", 28);
    let record = |backend| {
        serde_json::to_value(Processor::from_json(&json, 28, tiling, Some(backend)).unwrap())
            .unwrap()
    };
    assert_eq!(
        record(ProcessorBackend::Pillow).get("image_processor"),
        None
    );
    assert_eq!(
        record(ProcessorBackend::Pillow12)["image_processor"],
        "pillow-12"
    );
    assert_eq!(
        record(ProcessorBackend::Torchvision)["image_processor"],
        "torchvision"
    );
}

/// A server with one model.
async fn serving(set: &str, image_processor: Option<ProcessorBackend>) -> Running {
    let mut spec = ModelSpec::new(set, source(set));
    spec.options.image_processor = image_processor;
    Running::start(ServerConfig {
        models: vec![spec],
        ..ServerConfig::shapes()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_says_that_the_processor_differs() {
    let (pillow, torchvision) = (None, Some(ProcessorBackend::Torchvision));
    let (first, second) = (
        serving("tiny-next-llama", pillow).await,
        serving("tiny-next-llama", torchvision).await,
    );
    let request = || GenerateRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        max_tokens: 2,
        ..Default::default()
    };
    let answer = first
        .client()
        .await
        .generate(request())
        .await
        .unwrap()
        .finish()
        .await
        .unwrap();
    let record = answer.provenance.unwrap();
    assert!(!record.preprocessing.contains("image_processor"));
    for (server, agrees) in [(&first, true), (&second, false)] {
        let mut client = server.client().await;
        let image = v1::Image {
            source: Some(v1::image::Source::Data(picture())),
        };
        let asked = v1::VerifyRequest {
            provenance: Some(record.clone()),
            images: vec![image],
        };
        let found = client.verify(asked).await.unwrap();
        assert_eq!(found.agrees, agrees);
        let differs = found
            .differences
            .iter()
            .find(|d| d.stage == "preprocessing");
        assert_eq!(differs.is_none(), agrees);
        if let Some(differs) = differs {
            assert!(
                differs.found.contains(r#""image_processor":"torchvision""#),
                "{}",
                differs.found
            );
        }
    }
    let info = second.client().await.get_model("").await.unwrap();
    assert_eq!(info.image_processor, "torchvision");
}

#[derive(Deserialize)]
struct Several {
    text: String,
    pictures: Vec<String>,
    padded: Expected,
    tiled: Expected,
}

#[derive(Deserialize)]
struct Expected {
    image_tokens: u32,
    prompt_tokens: u32,
    top: Vec<(u32, f64)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pictures_are_padded_or_tiled_as_transformers_does_it() {
    let golden: Several = serde_json::from_slice(
        &std::fs::read(format!("{}/multi-image.json", crate::common::FOLDER)).unwrap(),
    )
    .unwrap();
    let server = serving("tiny-onevision", None).await;
    let mut client = server.client().await;
    let file = |name: &String| {
        std::fs::read(format!("{}/pictures/{name}.png", crate::common::FOLDER)).unwrap()
    };
    let pictures: Vec<Vec<u8>> = golden.pictures.iter().map(file).collect();
    let cases = [
        (v1::MultiImage::Unspecified, &golden.padded),
        (v1::MultiImage::Padded, &golden.padded),
        (v1::MultiImage::Tiled, &golden.tiled),
    ];
    for (multi_image, expected) in cases {
        let mut prompt = prompt(&golden.text, pictures.clone());
        (prompt.raw, prompt.multi_image) = (true, multi_image.into());
        let request = GenerateRequest {
            prompt: Some(prompt),
            max_tokens: 1,
            top_logprobs: 5,
            ..Default::default()
        };
        let mut answer = client.generate(request).await.unwrap();
        let token = answer.next().await.unwrap().unwrap();
        let usage = answer.finish().await.unwrap().usage.unwrap();
        assert_eq!(
            (usage.image_tokens, usage.prompt_tokens),
            (expected.image_tokens, expected.prompt_tokens)
        );
        for (found, (id, logprob)) in token.top.iter().zip(&expected.top) {
            assert_eq!(found.id, *id, "{multi_image:?}");
            assert!(
                (found.logprob - logprob).abs() < 1e-5,
                "{multi_image:?}: {} for {logprob}",
                found.logprob
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_has_one_way_refuses_the_choice() {
    let server = serving("shapes", None).await;
    let mut prompt = prompt("Is there a red circle?", [picture()]);
    for (number, expected) in [
        (2, "shapes prepares several pictures in one way"),
        (9, "9 is no MultiImage"),
    ] {
        prompt.multi_image = number;
        let request = GenerateRequest {
            prompt: Some(prompt.clone()),
            ..Default::default()
        };
        let refused = match server.client().await.generate(request).await {
            Ok(answer) => answer.finish().await.unwrap_err(),
            Err(error) => error,
        };
        let Error::Server {
            code: Code::InvalidArgument,
            message,
            fields,
            ..
        } = refused
        else {
            panic!("{refused}")
        };
        assert!(message.contains(expected), "{message}");
        assert_eq!(fields[0].field, "prompt.multi_image");
    }
}
