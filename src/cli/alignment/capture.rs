//! What the served model makes of pictures and of texts, by capture.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use scotoma_client::v1::{Reduction, tokens::Named};
use scotoma_client::{CaptureRequest, CaptureTarget, Client, prompt, target};

use super::item_source::ItemSource;
use crate::benchmark::alignment::Features;
use crate::benchmark::{self, Item};
use crate::cli::error::{Failure, Usage};
use crate::cli::progress::Progress;

/// Items in flight.
const IN_FLIGHT: usize = 8;

/// Hook points of the text's side.
const TEXT_POINTS: &str = "language_model.blocks.{l}.hook_resid_post";

/// Puts the rows of two targets at one hook point apart: what stands behind the point's name.
type Rows = &'static str;

/// Features of one item by hook point.
type ItemFeatures = BTreeMap<String, Vec<f32>>;

/// Captures the features of items.
pub(super) struct Capturer<'a> {
    source: &'a ItemSource,
    client: Client,
    model: &'a str,
    /// Targets of the picture's side.
    pictures: Vec<(CaptureTarget, Rows)>,
    /// Targets of the text's side; none where only others read the texts.
    texts: Vec<(CaptureTarget, Rows)>,
    progress: Progress,
}

impl<'a> Capturer<'a> {
    /// Prepares captures of pictures, and of texts where `reads_texts` says so.
    pub(super) fn new(
        source: &'a ItemSource,
        points: &[String],
        (client, model): (Client, &'a str),
        reads_texts: bool,
    ) -> Result<Self, Usage> {
        let texts = reads_texts.then(|| (mean(TEXT_POINTS, Named::All), ""));
        Ok(Self {
            source,
            client,
            model,
            pictures: targets(points)?,
            texts: texts.into_iter().collect(),
            progress: Progress::new(None, "items"),
        })
    }

    /// Captures the features of items that have a picture: those of the pictures, and those of the
    /// texts, which are none where nothing is asked of them.
    pub(super) async fn all(&self) -> Result<(Vec<Features>, Vec<Features>), Failure> {
        let all: Vec<_> = stream::iter(self.source.items()?)
            .map(|item| self.item(item))
            // In order, not as they come: rows of both sides, and of a file of features, belong to
            // one item by their number.
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        self.progress.finish();
        let (pictures, texts): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let texts = if self.texts.is_empty() {
            Vec::new()
        } else {
            by_point(texts)?
        };
        Ok((by_point(pictures)?, texts))
    }

    async fn item(
        &self,
        item: Result<Item, benchmark::Error>,
    ) -> Result<(ItemFeatures, ItemFeatures), Failure> {
        let item = item?;
        let text = self.source.text_of(&item);
        let pictures = self.capture(&text, item.images, &self.pictures).await?;
        let texts = if self.texts.is_empty() {
            ItemFeatures::new()
        } else {
            // No picture: what the model makes of the words alone.
            self.capture(&text, Vec::new(), &self.texts).await?
        };
        self.progress.advance();
        Ok((pictures, texts))
    }

    async fn capture(
        &self,
        text: &str,
        images: Vec<Vec<u8>>,
        targets: &[(CaptureTarget, Rows)],
    ) -> Result<ItemFeatures, Failure> {
        captured(self.client.clone(), self.model, text, images, targets).await
    }
}

fn mean(point: &str, tokens: Named) -> CaptureTarget {
    let target = scotoma_client::v1::Target {
        tokens: Some([tokens].into()),
        ..target(point)
    };
    CaptureTarget {
        target: Some(target),
        reduction: Reduction::Mean.into(),
        ..Default::default()
    }
}

/// Parses `--point`.
pub(super) fn targets(points: &[String]) -> Result<Vec<(CaptureTarget, Rows)>, Usage> {
    points.iter().map(|text| parse(text)).collect()
}

/// Parses `POINT@TOKENS`.
fn parse(text: &str) -> Result<(CaptureTarget, Rows), Usage> {
    match text.split_once('@').unwrap_or((text, "visual")) {
        (point, "visual") => Ok((mean(point, Named::Visual), "")),
        (point, "class") => Ok((mean(point, Named::Class), "@class")),
        (_, other) => Err(Usage(format!("--point {text}: {other:?}; visual or class"))),
    }
}

/// Captures the features of one item; views of a picture are averaged.
async fn captured(
    mut client: Client,
    model: &str,
    text: &str,
    images: Vec<Vec<u8>>,
    targets: &[(CaptureTarget, Rows)],
) -> Result<ItemFeatures, Failure> {
    // One picture is one item.
    let images: Vec<Vec<u8>> = images.into_iter().take(1).collect();
    let request = CaptureRequest {
        model: model.into(),
        prompt: Some(prompt(text, images)),
        targets: targets.iter().map(|(target, _)| target.clone()).collect(),
        ..Default::default()
    };
    let mut stream = client.capture(request).await?;
    let mut all: BTreeMap<String, (Vec<f32>, f32)> = BTreeMap::new();
    while let Some(activation) = stream.next().await? {
        let values = activation
            .data
            .chunks_exact(4)
            // f32, which a capture is sent as where its request names no other type.
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let target = targets.get(activation.target as usize);
        let rows = target.map_or("", |(_, rows)| rows);
        let name = format!("{}{rows}", activation.point);
        // Views of one picture are activations of one point.
        let (sum, count) = all.entry(name).or_default();
        *count += 1.0;
        if sum.is_empty() {
            sum.extend(values);
        } else {
            sum.iter_mut().zip(values).for_each(|(s, v)| *s += v);
        }
    }
    Ok(all
        .into_iter()
        .map(|(name, (sum, count))| (name, sum.into_iter().map(|v| v / count).collect()))
        .collect())
}

/// Turns features item by item into features point by point, layers in their order.
fn by_point(items: Vec<ItemFeatures>) -> Result<Vec<Features>, Failure> {
    let first = items.first().ok_or("no item has a picture")?;
    let mut names: Vec<String> = first.keys().cloned().collect();
    // By number: as texts layer 10 would come before layer 2.
    names.sort_by_key(|name| layer(name));
    let mut all = Vec::new();
    for name in names {
        let rows = items
            .iter()
            // An empty row where a point is missing: `align` then names the feature whose rows
            // differ in width.
            .map(|item| item.get(&name).cloned().unwrap_or_default())
            .collect();
        all.push(Features { name, rows });
    }
    Ok(all)
}

/// Returns the layer of a hook point's name; points without a layer come last.
fn layer(name: &str) -> usize {
    name.split('.')
        .find_map(|part| part.parse().ok())
        .unwrap_or(usize::MAX)
}
