//! Records of runs as data. Their JSON is the contract's canonical one: keys sorted, defaults left
//! out, 64-bit numbers as text. Digests are taken of it, so that a record means the same bits in
//! every version.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sampling::{SamplingParams, is_default};

/// The record of a run.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// Version of the server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_version: String,
    /// Name of the model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// BLAKE3 (hex) of the model's weights and configuration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model_digest: String,
    /// f32, bf16, f16, or on a CPU q8_0, q6_k, q5_k, q4_k or q4_0.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dtype: String,
    /// cpu or cuda:N.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// BLAKE3 (hex) of the pictures' bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_digests: Vec<String>,
    /// The image processor, in canonical JSON.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub preprocessing: String,
    /// The prompt after the chat template.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prompt_text: String,
    /// The time that the chat template has put into the prompt; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template_time: String,
    /// The language model's input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layout: Vec<TokenSpan>,
    /// The interventions with every choice made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<ResolvedIntervention>,
    /// The sampling parameters that held; `None` for scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingParams>,
    /// The sample key as asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sample_key: String,
    /// The request in canonical JSON, every seed filled in, pictures by their handles.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// The stages on the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// BLAKE3 (hex) of what came out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output_digest: String,
    /// BLAKE3 (hex) of the canonical JSON of all other fields.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

/// Holds what came out of one part of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stage {
    /// The part.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// BLAKE3 (hex).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

/// An intervention with what it came to.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedIntervention {
    /// The intervention in canonical JSON.
    pub intervention: Value,
    /// The choices that were made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolutions: Vec<ResolvedChoice>,
    /// Set where nothing changed.
    #[serde(skip_serializing_if = "is_default")]
    pub changed_nothing: bool,
    /// Counts how often it acted.
    #[serde(skip_serializing_if = "is_default", serialize_with = "as_text")]
    pub fired: u64,
    /// The relative change of the rows that it acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_change: Option<f64>,
}

/// A choice that an intervention made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ResolvedChoice {
    /// The picture.
    #[serde(skip_serializing_if = "is_default")]
    pub image: u32,
    /// The numbers of what was chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indices: Vec<u32>,
    /// BLAKE3 (hex) of what is too long to be listed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// The hook points.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<String>,
    /// The view.
    #[serde(skip_serializing_if = "is_default")]
    pub view: u32,
}

/// Kinds of runs in the language model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(missing_docs, reason = "the contract defines each")]
pub enum SpanKind {
    #[default]
    #[serde(rename = "SPAN_KIND_TEXT")]
    Text,
    #[serde(rename = "SPAN_KIND_BASE_VIEW")]
    BaseView,
    #[serde(rename = "SPAN_KIND_TILE")]
    Tile,
    #[serde(rename = "SPAN_KIND_NEWLINE")]
    Newline,
    #[serde(rename = "SPAN_KIND_POOLED")]
    Pooled,
}

/// A run of text or of visual tokens of one kind.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenSpan {
    /// The kind of its tokens.
    pub kind: SpanKind,
    /// The first token.
    #[serde(skip_serializing_if = "is_default")]
    pub start: u32,
    /// The token after its last one.
    #[serde(skip_serializing_if = "is_default")]
    pub end: u32,
    /// The picture.
    #[serde(skip_serializing_if = "is_default")]
    pub image: u32,
    /// Rows of the grid that it is part of.
    #[serde(skip_serializing_if = "is_default")]
    pub grid_rows: u32,
    /// Columns of that grid.
    #[serde(skip_serializing_if = "is_default")]
    pub grid_columns: u32,
    /// The tile.
    #[serde(skip_serializing_if = "is_default")]
    pub tile: u32,
    /// The row in the grid.
    #[serde(skip_serializing_if = "is_default")]
    pub row: u32,
    /// The first column in the grid.
    #[serde(skip_serializing_if = "is_default")]
    pub column: u32,
}

/// Writes 64 bits as text: JSON numbers hold 53 in many languages.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_text<S: serde::Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A record as a client sends it back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is the field of `Provenance`")]
pub struct Recorded {
    pub server_version: String,
    pub model: String,
    pub model_digest: String,
    pub dtype: String,
    pub device: String,
    pub preprocessing: String,
    pub template_time: String,
    // As JSON, since it is compared and not run: one of another version may have other fields.
    pub plan: Vec<Value>,
    pub request: String,
    pub stages: Vec<Stage>,
    pub output_digest: String,
    pub digest: String,
    /// The digest that the record ought to have.
    #[serde(skip)]
    pub own_digest: String,
}

impl Recorded {
    /// Reads a record in canonical JSON.
    pub fn from_json(json: Value) -> serde_json::Result<Self> {
        let own_digest = digest(json.clone());
        Ok(Self {
            own_digest,
            ..serde_json::from_value(json)?
        })
    }
}

/// Returns one text for one value: the keys of a JSON value are sorted, as long as no crate of the
/// build asks serde_json to keep their order.
pub(super) fn canonical(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        // An error would be of a map whose keys are no texts, and records have none.
        .map(|v| v.to_string())
        .unwrap_or_default()
}

/// Returns the digest of a record in canonical JSON, whatever it says of itself.
pub(super) fn digest(mut record: Value) -> String {
    if let Some(fields) = record.as_object_mut() {
        // It cannot be a digest of itself.
        fields.remove("digest");
    }
    blake3::hash(record.to_string().as_bytes())
        .to_hex()
        .to_string()
}
