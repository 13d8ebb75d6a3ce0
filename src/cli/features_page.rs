//! The page of `features`: each feature with the pictures where it is strongest, the place marked.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma_client::v1::{SaeInfo, TracePatch};
use scotoma_client::{Client, PreviewRequest, image};

use super::error::Failure;
use super::feature_table::{Example, FeatureTable, Question, Summary};
use super::items_page::{cut, small};
use crate::benchmark::report::{DataTable, Drawing, Part, escaped, html};

/// Units of a panel's side.
const PANEL: f64 = 112.0;
/// Panels side by side.
const ACROSS: usize = 5;
/// Units between panels, and below them for their text.
const GAP: f64 = 10.0;
const BELOW: f64 = 34.0;
/// Characters below a panel.
const LABEL: usize = 17;

/// A question that is shown: its words, and its pictures, small.
struct Shown {
    text: String,
    pictures: Vec<Option<Picture>>,
}

/// A small picture, and the patches of the whole of it.
struct Picture {
    png: Vec<u8>,
    grid: (u32, u32),
    /// The small picture of the file, where patches are counted in another grid.
    file: Option<Vec<u8>>,
}

/// Returns the page; `asked` are all questions again, with their pictures.
pub(super) async fn page(
    client: &mut Client,
    model: &str,
    sae: &SaeInfo,
    table: &FeatureTable,
    features: &[Summary<'_>],
    asked: impl Iterator<Item = Question>,
) -> Result<String, Failure> {
    let examples = features.iter().flat_map(Summary::examples);
    // Of these alone pictures are prepared and kept.
    let wanted: HashSet<&str> = examples.map(|example| example.item.as_str()).collect();
    let mut shown = HashMap::new();
    for own in asked.filter(|own| wanted.contains(own.id.as_str())) {
        let mut pictures = Vec::with_capacity(own.images.len());
        for file in &own.images {
            pictures.push(seen(client, model, file).await?);
        }
        let text = own.text;
        shown.insert(own.id, Shown { text, pictures });
    }
    let mut parts = vec![
        Part::Text(format!(
            "{} of {}: {} features, {} of them fire at {} tokens of {} questions. A feature is \
             shown with the pictures, or questions, where it is strongest, and the patch marked \
             where it is.",
            sae.name,
            sae.hook_point,
            sae.features,
            table.fired(),
            table.tokens,
            table.items
        )),
        Part::Table(overview(features)),
    ];
    for own in features {
        parts.extend(feature(own, &shown));
    }
    Ok(html("Features", &parts))
}

/// Returns a picture as the model sees it.
async fn seen(client: &mut Client, model: &str, file: &[u8]) -> Result<Option<Picture>, Failure> {
    // Without interventions, as the features have seen it.
    let request = PreviewRequest {
        model: model.to_owned(),
        image: Some(image(file.to_vec())),
        ..PreviewRequest::default()
    };
    let preview = client.preview(request).await?;
    let grid = (preview.grid_rows, preview.grid_columns);
    let file = small(file);
    Ok(small(&preview.png).map(|png| Picture { png, grid, file }))
}

fn overview(features: &[Summary<'_>]) -> DataTable {
    let heads = [
        "feature",
        "fires at tokens, %",
        "at questions, %",
        "mean",
        "largest",
    ];
    let rows = features.iter().map(|own| {
        let [tokens, items, mean] = own.numbers();
        vec![
            own.feature.to_string(),
            format!("{tokens:.2}"),
            format!("{items:.1}"),
            format!("{mean:.2}"),
            format!("{:.2}", own.largest()),
        ]
    });
    let caption = "How often features fire; the mean is of the tokens where they do.";
    DataTable::new(caption, &heads, rows.collect())
}

/// Returns the parts about one feature.
fn feature(own: &Summary<'_>, shown: &HashMap<String, Shown>) -> Vec<Part> {
    let name = format!("Feature {}", own.feature);
    let [tokens, items, mean] = own.numbers();
    let text = format!(
        "Fires at {tokens:.2} % of tokens, in {items:.1} % of questions; {mean:.2} in the mean, \
         {:.2} at most.",
        own.largest()
    );
    let rows = own.examples().iter().map(|example| {
        let question = shown.get(&example.item).map_or("", |own| own.text.as_str());
        vec![
            format!("{:.3}", example.value),
            example.item.clone(),
            example.name(),
            cut(question),
        ]
    });
    let heads = ["value", "item", "token", "question"];
    let examples = DataTable::new(
        format!("{name}: where it is strongest"),
        &heads,
        rows.collect(),
    );
    let drawing = Drawing {
        name: format!("feature-{}", own.feature),
        about: format!("The pictures where feature {} is strongest", own.feature),
        svg: panels(own.examples(), shown),
    };
    vec![
        Part::Heading(name),
        Part::Text(text),
        Part::Drawing(drawing),
        Part::Folded("The questions".into(), vec![Part::Table(examples)]),
    ]
}

/// Draws the pictures of examples side by side.
fn panels(examples: &[Example], shown: &HashMap<String, Shown>) -> String {
    let (across, down) = (
        examples.len().clamp(1, ACROSS),
        examples.len().div_ceil(ACROSS),
    );
    let (width, height) = (
        GAP + (PANEL + GAP) * across as f64,
        GAP + (PANEL + BELOW) * down as f64,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"Helvetica, Arial, DejaVu Sans, sans-serif\" font-size=\"11\" \
         fill=\"#222\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    );
    for (i, example) in examples.iter().enumerate() {
        let x = GAP + (PANEL + GAP) * (i % ACROSS) as f64;
        let y = GAP + (PANEL + BELOW) * (i / ACROSS) as f64;
        let image = example
            .patch
            .as_ref()
            .map_or(0, |patch| patch.image as usize);
        let pictures = shown
            .get(&example.item)
            .map_or(&[][..], |own| &own.pictures);
        if let Some(Some(picture)) = pictures.get(image) {
            draw(picture, example.patch.as_ref(), (x, y), &mut svg);
        }
        let label: String = example.name().chars().take(LABEL).collect();
        let _ = write!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\">{:.2}</text><text x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            y + PANEL + 12.0,
            example.value,
            y + PANEL + 25.0,
            escaped(&label)
        );
    }
    svg + "</svg>"
}

/// Draws a picture with its patch marked in the panel whose corner is at `(x, y)`.
fn draw(picture: &Picture, patch: Option<&TracePatch>, (x, y): (f64, f64), svg: &mut String) {
    // Patches of the base view of a tiled picture, and of a canvas without its padding, are counted
    // in the whole picture, not in what a preview shows of it.
    let in_preview = patch.is_none_or(|p| (p.grid_rows, p.grid_columns) == picture.grid);
    let png = match &picture.file {
        Some(file) if !in_preview => file,
        _ => &picture.png,
    };
    // Stretched to the panel, as its patches are.
    let _ = write!(
        svg,
        "<image x=\"{x:.1}\" y=\"{y:.1}\" width=\"{PANEL}\" height=\"{PANEL}\" \
         preserveAspectRatio=\"none\" href=\"data:image/png;base64,{}\"/>",
        STANDARD.encode(png)
    );
    let Some(patch) = patch else { return };
    let w = PANEL / f64::from(patch.grid_columns.max(1));
    let h = PANEL / f64::from(patch.grid_rows.max(1));
    let (x, y) = (
        x + w * f64::from(patch.column),
        y + h * f64::from(patch.row),
    );
    // White around red: it is seen on any picture.
    for (colour, line) in [("#fff", 4), ("#d7263d", 2)] {
        let _ = write!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" fill=\"none\" \
             stroke=\"{colour}\" stroke-width=\"{line}\"/>"
        );
    }
}
