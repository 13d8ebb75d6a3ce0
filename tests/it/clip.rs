//! CLIP with both towers against Hugging Face: tests/goldens/capture.py is the only writer of the
//! embeddings.

use std::path::Path;

use candle_core::{Device, Tensor};
use scotoma::model::{Clip, Source};
use scotoma::vision::decode;

#[test]
fn embeddings_are_those_of_hugging_face() {
    let folder = Path::new(crate::common::FOLDER).join("tiny-clip");
    let clip = Clip::load(&Source::Folder(folder.clone()), &Device::Cpu).unwrap();
    let bytes = std::fs::read(folder.join("golden/embeddings.safetensors")).unwrap();
    let golden = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let texts: Vec<String> =
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()["texts"]).unwrap();
    let pictures: Vec<_> = ["square", "wide", "tall"]
        .iter()
        .map(|name| {
            let file = Path::new(crate::common::FOLDER).join(format!("pictures/{name}.png"));
            decode(&std::fs::read(file).unwrap(), 1 << 20).unwrap()
        })
        .collect();
    let images = clip.images(&pictures).unwrap();
    let far = |ours: &Tensor, name: &str| {
        let difference = (ours - &golden[name]).unwrap().abs().unwrap();
        difference.max_all().unwrap().to_scalar::<f32>().unwrap()
    };
    let worst = (
        far(&images, "images"),
        far(&clip.texts(&texts).unwrap(), "texts"),
    );
    // Embeddings are of length 1.
    assert!(worst.0 <= 1e-5 && worst.1 <= 1e-5, "{worst:?}");

    // A class is the mean of its texts; of one text it is that text.
    let classes: Vec<Vec<String>> = texts.iter().map(|t| vec![t.clone(), t.clone()]).collect();
    let cosines = clip
        .cosines(&pictures, &clip.classes(&classes).unwrap())
        .unwrap();
    let expected: Vec<Vec<f32>> = golden["images"]
        .matmul(&golden["texts"].t().unwrap())
        .unwrap()
        .to_vec2()
        .unwrap();
    for (ours, theirs) in cosines.iter().flatten().zip(expected.iter().flatten()) {
        assert!((ours - theirs).abs() <= 1e-5, "{cosines:?} {expected:?}");
    }
    // A LLaVA is no CLIP.
    let error = Clip::load(&crate::common::source("tiny-next-llama"), &Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(error.contains("both towers"), "{error}");
}
