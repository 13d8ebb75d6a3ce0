//! The commands that run the paper's experiments, on small data.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candle_core::Device;
use scotoma::benchmark::{Item, shapes};
use scotoma::model::{DualEncoder, ImageEncoder, Source, TextEncoder};
use scotoma::vision::decode;
use serde_json::{Value, json};

fn scotoma(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scotoma"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn lettered() -> Vec<Item> {
    shapes()
        .unwrap()
        .into_iter()
        .filter(|i| i.options.len() == 4)
        .take(12)
        .collect()
}

/// A manifest whose options are the words that occur among the options.
fn classes(path: &Path) {
    let row = |item: &Item| {
        let answer = item
            .letters()
            .zip(&item.options)
            .find(|(l, _)| item.answer == l.to_string())
            .unwrap()
            .1;
        let image = STANDARD.encode(&item.images[0]);
        json!({"index": item.id, "question": item.question, "image": image, "options": item.options, "answer": answer})
    };
    let rows: Vec<String> = lettered().iter().map(|i| row(i).to_string()).collect();
    std::fs::write(path, rows.join("\n")).unwrap();
}

#[test]
fn a_classification_stands_beside_clips_own() {
    let folder = tempfile::tempdir().unwrap();
    let (data, report) = (
        folder.path().join("pets.jsonl"),
        folder.path().join("report"),
    );
    classes(&data);
    let clip = Path::new(common::FOLDER).join("tiny-clip");
    let [data, out, place] = [&data, &report, &clip].map(|p| p.to_str().unwrap());
    let arguments = [
        "classify",
        "--data",
        data,
        "--clip",
        place,
        "--template",
        "a photo of {}",
        "--report",
        out,
    ];
    let done = scotoma(&arguments);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );

    // CLIP's answers are those of CLIP.
    let clip = DualEncoder::load(&Source::Folder(clip.clone()), &Device::Cpu).unwrap();
    let mut right = 0;
    for item in lettered() {
        let read: Vec<Vec<String>> = item
            .options
            .iter()
            .map(|o| vec![format!("a photo of {o}")])
            .collect();
        let picture = decode(&item.images[0], 1 << 24).unwrap();
        let cosines = clip
            .cosines(&[picture], &clip.classes(&read).unwrap())
            .unwrap()
            .swap_remove(0);
        let best = cosines
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .unwrap()
            .0;
        right += usize::from(item.letters().nth(best).unwrap().to_string() == item.answer);
    }
    let metrics = text(&report, "metrics.csv");
    let of = |variant: &str| {
        let line = metrics
            .lines()
            .find(|l| l.starts_with(&format!("\"{variant}\",\"accuracy\",")))
            .unwrap();
        (line.split(',').nth(2).unwrap().parse::<f64>().unwrap() * 12.0).round() as usize
    };
    assert_eq!(of("CLIP"), right);
    assert!(of("classes scored") >= 1);
    let page = text(&report, "report.md");
    // The paper's table, because of the file's name, with what is not comparable about it.
    assert!(
        page.contains("| CLIP ViT-L/14 at 336 | 93.0 |") && page.contains("not published"),
        "{page}"
    );
    assert!(
        page.contains("| classes named | 12 |") && !page.contains("answers judged |"),
        "{page}"
    );
    // The same again asks nothing: results are there.
    let first = text(&report, "classes-scored.jsonl");
    assert!(scotoma(&arguments).status.success());
    assert_eq!(text(&report, "classes-scored.jsonl"), first);
}

#[test]
fn a_siglip_is_named_in_a_classification() {
    let folder = tempfile::tempdir().unwrap();
    let (data, report) = (
        folder.path().join("pets.jsonl"),
        folder.path().join("report"),
    );
    classes(&data);
    let siglip = Path::new(common::FOLDER).join("tiny-siglip");
    let [data, out, place] = [&data, &report, &siglip].map(|p| p.to_str().unwrap());
    let done = scotoma(&[
        "classify", "--data", data, "--clip", place, "--report", out, "--limit", "4",
    ]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let metrics = text(&report, "metrics.csv");
    assert!(
        metrics.contains("\"SigLIP\",\"accuracy\",") && !metrics.contains("\"CLIP\","),
        "{metrics}"
    );
    let page = text(&report, "report.md");
    assert!(
        page.contains("compared with SigLIP's own")
            && page.contains("SigLIP's digest: ")
            && page.contains("SigLIP reads: a photo of a {}."),
        "{page}"
    );
}

#[test]
fn the_paper_runs_on_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (data, report) = (folder.path().join("data"), folder.path().join("report"));
    std::fs::create_dir_all(&data).unwrap();
    let mut table = "index\timage\tquestion\tA\tB\tanswer\n".to_owned();
    for (i, item) in lettered().iter().enumerate() {
        let image = STANDARD.encode(&item.images[0]);
        let row = format!(
            "{}\t{image}\t{}\t{}\t{}\tA\n",
            i + 1,
            item.question,
            item.options[0],
            item.options[1]
        );
        table.push_str(&row);
    }
    for name in ["MMVP.tsv", "DOCCI_test.tsv", "mystery.tsv"] {
        std::fs::write(data.join(name), &table).unwrap();
    }
    classes(&data.join("EuroSAT.jsonl"));
    let [from, out] = [&data, &report].map(|p| p.to_str().unwrap());
    let done = scotoma(&["paper", "--data", from, "--report", out, "--limit", "12"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("mystery.tsv: left out"), "{said}");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        printed.contains("5 experiments: ") && printed.contains("floating-point operations"),
        "{printed}"
    );
    let index = text(&report, "report.md");
    for place in [
        "permutation/MMVP",
        "shuffled-grid/MMVP",
        "blind/MMVP",
        "classification/EuroSAT",
        "alignment/DOCCI_test",
    ] {
        assert!(index.contains(&format!("({place}/report.md)")), "{index}");
        assert!(report.join(place).join("report.html").is_file());
    }
    // Ours stands below the paper's, of pairs.
    let page = text(&report, "permutation/MMVP/report.md");
    assert!(
        page.contains("| LLaVA-1.5 | 34.67 | 36.00 | +1.33 |") && page.contains("| this run |"),
        "{page}"
    );
    let csv = text(&report, "alignment/DOCCI_test/alignment.csv");
    assert!(
        csv.lines()
            .skip(1)
            .all(|l| (0.0..=1.0).contains(&l.rsplit(',').next().unwrap().parse::<f64>().unwrap()))
    );
    let record: BTreeMap<String, Value> =
        serde_json::from_str(&text(&report, "permutation/MMVP/provenance.json")).unwrap();
    assert_eq!(record["facts"]["rule"], "mmvp/lmms-eval");
    let nothing = scotoma(&["paper", "--data", out]);
    assert!(
        !nothing.status.success()
            && String::from_utf8_lossy(&nothing.stderr).contains("no file whose name")
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one run, and what of it is refused")]
fn encoders_stand_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let place = |set: &str| {
        let folder = Path::new(common::FOLDER).join(set);
        folder.to_str().unwrap().to_owned()
    };
    let run = |more: &[&str]| {
        let mut arguments = vec!["alignment", "-k", "3", "--limit", "12", "--json"];
        arguments.extend(["--report", report.to_str().unwrap()]);
        arguments.extend(more);
        let done = scotoma(&arguments);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (done, said)
    };
    let (siglip, dino) = (
        place("tiny-siglip"),
        format!("dino={}", place("tiny-dinov2-registers")),
    );
    let clip = format!("clip:{}", place("tiny-clip"));
    let (done, said) = run(&[
        "--vision",
        &siglip,
        "--vision",
        &dino,
        "--features",
        &clip,
        "--features",
        "own",
    ]);
    assert!(done.status.success(), "{said}");
    let found: Value = serde_json::from_slice(&done.stdout).unwrap();
    let open = |set: &str| Source::Folder(Path::new(common::FOLDER).join(set));
    let encoder = ImageEncoder::load(&open("tiny-dinov2-registers"), &Device::Cpu).unwrap();
    let seen = found["facts"]["pictures seen by dino"].as_str().unwrap();
    let digest = encoder.digest();
    assert_eq!(
        seen,
        format!("DINOv2 with registers, 28 x 28 pixels, BLAKE3 {digest}")
    );
    let reader = TextEncoder::load(&open("tiny-clip"), &Device::Cpu).unwrap();
    let read = found["facts"]["texts read by tiny-clip"].as_str().unwrap();
    let digest = reader.digest();
    assert_eq!(read, format!("tiny-clip (CLIP, BLAKE3 {digest})"));
    assert_eq!(found["facts"]["texts read by own"], "the model itself");

    // Those of the encoders are their own, item by item.
    let path = report.join("features.safetensors");
    let all = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let items: Vec<Item> = shapes().unwrap().into_iter().take(12).collect();
    let pictures: Vec<_> = items
        .iter()
        .map(|item| decode(&item.images[0], 1 << 24).unwrap())
        .collect();
    let features = encoder.features(&pictures).unwrap();
    assert_eq!(features.len(), 5);
    for (point, rows) in features {
        let saved: Vec<Vec<f32>> = all[&format!("pictures/dino/{point}")].to_vec2().unwrap();
        assert_eq!(saved, rows, "{point}");
    }
    for (number, item) in items.iter().enumerate() {
        let text = format!("{} {}", item.question, item.answer);
        for (point, rows) in reader.features(&text).unwrap() {
            let saved = &all[&format!("texts/tiny-clip/{point}")];
            let saved: Vec<Vec<f32>> = saved.to_vec2().unwrap();
            assert_eq!(saved[number], rows[0], "{point}");
        }
    }
    let own = "texts/own/language_model.blocks.0.hook_resid_post";
    assert!(all.contains_key(own) && all.contains_key("pictures/projector.hook_out"));
    let page = text(&report, "report.md");
    for row in ["| dino | dino, ", "| tiny-siglip | tiny-siglip, "] {
        assert!(page.contains(row), "{page}");
    }

    // What cannot be is said before anything is seen.
    for (flags, code, says) in [
        (
            ["--vision", &siglip, "--vision", &siglip],
            2,
            "--vision: two are called tiny-siglip",
        ),
        (
            ["--features", "own", "--features", "own"],
            2,
            "--features: two are called own",
        ),
        (
            ["--features", "clip:a/b/c", "--vision", &siglip],
            2,
            "--features clip:a/b/c: ",
        ),
        (
            ["--vision", &place("tiny-next-llama/model"), "--clamp", "1"],
            1,
            "model_type \"llava_next\"; of encoders",
        ),
        (
            [
                "--features",
                &format!("clip:{}", place("tiny-dinov2")),
                "--vision",
                &siglip,
            ],
            1,
            "both towers",
        ),
    ] {
        let (done, said) = run(&flags);
        assert_eq!(done.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn features_from_elsewhere_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("own");
    let run = |report: &Path, more: &[&str]| {
        let mut arguments = vec!["alignment", "-k", "5", "--report", report.to_str().unwrap()];
        arguments.extend(more);
        scotoma(&arguments)
    };
    assert!(run(&report, &["--limit", "40"]).status.success());
    // The texts' features of the first run, as those of another model: the same scores.
    let all =
        candle_core::safetensors::load(report.join("features.safetensors"), &Device::Cpu).unwrap();
    let texts: BTreeMap<String, _> = all
        .into_iter()
        .filter_map(|(n, t)| Some((n.strip_prefix("texts/")?.to_owned(), t)))
        .collect();
    let file = folder.path().join("texts.npz");
    candle_core::Tensor::write_npz(&texts.iter().collect::<Vec<_>>(), &file).unwrap();
    let again = folder.path().join("again");
    assert!(
        run(
            &again,
            &["--features", file.to_str().unwrap(), "--limit", "40"]
        )
        .status
        .success()
    );
    let sorted = |report: &Path| {
        let mut lines: Vec<String> = text(report, "alignment.csv")
            .lines()
            .map(String::from)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&again), sorted(&report));
    assert!(sorted(&report).len() > 10);
    let few = run(
        &folder.path().join("few"),
        &["--features", file.to_str().unwrap(), "--limit", "39"],
    );
    assert!(!few.status.success());
}
