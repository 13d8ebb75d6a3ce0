//! Canvas, visual tokens and pixel values of 200 random sizes a family, as Hugging Face's
//! processors make them (tests/goldens/sizes.json, written by capture.py).

use scotoma::model::{ImageTokens, ViewInfo};
use scotoma::vision::{MAX_PIXELS, Processor, Rgb, Size, Tiling, best_canvas};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Row {
    width: usize,
    height: usize,
    tokens: usize,
    canvas: Size,
    tiny_width: usize,
    tiny_height: usize,
    views: usize,
    sha256: String,
}

struct Family {
    name: &'static str,
    tiling: Tiling,
    /// Pixels of a real tile, and its patches along a side.
    side: usize,
    patches: usize,
    most_tiles: Option<usize>,
    /// Rows and columns of tiles.
    pinpoints: Vec<Size>,
}

const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

fn families() -> [Family; 4] {
    let llava = |name| Family {
        name,
        tiling: Tiling::None,
        side: 336,
        patches: 24,
        most_tiles: None,
        pinpoints: vec![],
    };
    [
        llava("llava"),
        llava("llava_padded"),
        Family {
            name: "llava_next",
            tiling: Tiling::Always,
            side: 336,
            patches: 24,
            most_tiles: None,
            pinpoints: vec![(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)],
        },
        Family {
            name: "llava_onevision",
            tiling: Tiling::Alone,
            side: 384,
            patches: 27,
            most_tiles: Some(9),
            pinpoints: (1..=6)
                .flat_map(|rows| (1..=6).map(move |columns| (rows, columns)))
                .collect(),
        },
    ]
}

fn rows(family: &str) -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/sizes.json");
    let mut all: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value(all[family].take()).unwrap()
}

/// A square view whose patches are all that reaches the projector.
fn view(side: usize) -> ViewInfo {
    ViewInfo {
        grid: (side, side),
        rows: side * side,
        tokens: side * side,
        merge: 1,
    }
}

fn canvases(pinpoints: &[Size], side: usize) -> Vec<Size> {
    pinpoints
        .iter()
        .map(|&(rows, columns)| (rows * side, columns * side))
        .collect()
}

#[test]
fn canvases_and_visual_tokens_are_those_of_hugging_face() {
    for family in families() {
        let rows = rows(family.name);
        assert_eq!(rows.len(), 200);
        for row in rows {
            let size = (row.height, row.width);
            if family.tiling == Tiling::None {
                assert_eq!(
                    ImageTokens::of_view(view(family.patches), false).len(),
                    row.tokens
                );
                continue;
            }
            let canvas = best_canvas(size, &canvases(&family.pinpoints, family.side)).unwrap();
            assert_eq!(canvas, row.canvas, "{} {size:?}", family.name);
            let tiles = (canvas.0 / family.side, canvas.1 / family.side);
            let tokens =
                ImageTokens::of_tiles(view(family.patches), tiles, size, family.most_tiles);
            assert_eq!(tokens.len(), row.tokens, "{} {size:?}", family.name);
        }
    }
}

/// `(7 x + 13 y + 29 c + x y) mod 256`, as capture.py draws it.
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

#[test]
fn pixel_values_are_those_of_hugging_face_to_the_bit() {
    for family in families() {
        let json = json!({
            "size": if family.tiling == Tiling::None { json!({ "shortest_edge": 28 }) } else { json!(28) },
            "crop_size": { "height": 28, "width": 28 },
            "do_pad": family.name == "llava_padded",
            "image_mean": MEAN,
            "image_std": STD,
            "image_grid_pinpoints": canvases(&family.pinpoints, 28),
        });
        let processor = Processor::from_json(&json, 28, family.tiling, None).unwrap();
        for row in rows(family.name) {
            let picture = processor
                .picture(&pattern(row.tiny_width, row.tiny_height), 1, MAX_PIXELS)
                .unwrap();
            let views = picture.views();
            let at = format!("{} {} x {}", family.name, row.tiny_width, row.tiny_height);
            assert_eq!(views.len(), row.views, "{at}");
            let mut hash = Sha256::new();
            for value in views.iter().flat_map(|v| processor.normalise(v)) {
                hash.update(value.to_le_bytes());
            }
            let expected = (0..64)
                .step_by(2)
                .map(|i| u8::from_str_radix(&row.sha256[i..i + 2], 16).unwrap());
            assert_eq!(
                hash.finalize().to_vec(),
                expected.collect::<Vec<_>>(),
                "{at}"
            );
        }
    }
}
