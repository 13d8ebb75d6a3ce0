//! `scotoma hooks`: the named places in a model's forward pass.

use std::fmt::Write as _;

use clap::Args;
use scotoma_client::Client;
use scotoma_client::v1::{HookPoint, ListHookPointsResponse, ModelInfo};

use super::error::Failure;
use super::json_output::print_line;
use super::model_args::ModelArgs;

/// Sets of tokens that a target can name, where they exist, and what each is. Long lists and
/// numbers are of `TokenSelector` in the contract.
const TOKENS: [(&str, &str); 12] = [
    ("NAMED_ALL", "every token"),
    (
        "NAMED_VISUAL",
        "tokens of pictures; in the tower every patch",
    ),
    ("NAMED_TEXT", "text of the prompt"),
    ("NAMED_SYSTEM", "the system prompt"),
    ("NAMED_QUESTION", "the user's words"),
    (
        "NAMED_LAST",
        "the token that the next one is predicted from",
    ),
    ("NAMED_GENERATED", "generated tokens"),
    (
        "NAMED_NEWLINE",
        "newline vectors of any-resolution pictures",
    ),
    ("NAMED_CLASS", "the tower's class token"),
    ("NAMED_BASE_VIEW", "patches of base views"),
    ("NAMED_USER", "words of all messages of the user"),
    ("NAMED_ASSISTANT", "words of all messages of the assistant"),
];

/// Flags of `hooks`.
#[derive(Debug, Args)]
pub(super) struct Hooks {
    /// List the points whose names contain this text, such as hook_resid
    #[arg(default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    model: ModelArgs,
    /// Print JSON: the ListHookPointsResponse
    #[arg(long)]
    json: bool,
}

impl Hooks {
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.model
            .with_client(async |client| self.list(client).await)
            .await
    }

    async fn list(&self, mut client: Client) -> Result<(), Failure> {
        // The empty name stands for the server's first model; the calls and messages below need its
        // own.
        let model = client.get_model(&self.model.name()).await?;
        let mut hook_points = client.list_hook_points(&model.name).await?;
        hook_points.retain(|point| point.name.contains(&self.name));
        if hook_points.is_empty() {
            let message = format!("no hook point of {} contains {:?}", model.name, self.name);
            return Err(message.into());
        }
        if self.json {
            return print_line(&ListHookPointsResponse { hook_points });
        }
        print!("{}", table(&model, &hook_points));
        Ok(())
    }
}

/// Lays the points out as a table, with what a target can name beside them.
fn table(model: &ModelInfo, points: &[HookPoint]) -> String {
    let shapes: Vec<String> = points.iter().map(shape).collect();
    let names = points
        .iter()
        .map(|p| p.name.len())
        .max()
        .unwrap_or_default();
    let widest = shapes.iter().map(String::len).max().unwrap_or_default();
    let mut text = format!(
        "{:<names$}  {:>6}  {:<widest$}  value\n",
        "hook point", "layers", "shape"
    );
    for (point, shape) in points.iter().zip(&shapes) {
        let layers = match point.layers {
            0 => String::new(),
            layers => layers.to_string(),
        };
        let _ = writeln!(
            text,
            "{:<names$}  {layers:>6}  {shape:<widest$}  {}",
            point.name, point.equation
        );
    }
    text.push_str(&legend(model));
    text
}

/// Returns a shape with the numbers of this model: `(R, D)` as `(R, D=64)`.
fn shape(point: &HookPoint) -> String {
    let inside = point.shape.trim_matches(['(', ')']);
    let mut letters: Vec<String> = inside.split(',').map(|l| l.trim().to_owned()).collect();
    if point.heads > 0
        && let Some(heads) = letters.iter_mut().find(|l| *l == "H" || *l == "K")
    {
        let _ = write!(heads, "={}", point.heads);
    }
    if point.width > 0
        && let Some(last) = letters.last_mut()
    {
        // The width is of the last axis: D, Dh or F.
        let _ = write!(last, "={}", point.width);
    }
    format!("({})", letters.join(", "))
}

/// Explains what stands in the table, and what a selector can name.
fn legend(model: &ModelInfo) -> String {
    let mut text = "\n\
        {l} stands for a layer, from 0; left as it is, for all layers that run. R rows, D width,\n\
        H heads, K key-value heads, Dh width of a head, F width of the MLP, T queries, S keys.\n"
        .to_owned();
    for (stack, info) in [
        ("vision_tower", &model.vision_tower),
        ("language_model", &model.language_model),
    ] {
        if let Some(info) = info {
            let _ = writeln!(
                text,
                "{stack}: layers 0 to {}, {} of them run; heads 0 to {}",
                info.layers.saturating_sub(1),
                info.layers_run,
                info.heads.saturating_sub(1)
            );
        }
    }
    text.push_str("\nTokens that a target can name ({\"anyOf\": [{\"named\": NAME}]}):\n");
    for (name, about) in TOKENS {
        let _ = writeln!(text, "  {name:<16} {about}");
    }
    text.push_str(
        "and by number: indices, image, tile, turn; blocks, random or salient patches.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use scotoma_client::v1::tokens::Named;

    use super::*;

    /// Walks the numbers of the contract's enum, so that a new name must be in the table.
    #[test]
    fn every_named_set_is_listed() {
        let all = (1..100).map_while(|n| Named::try_from(n).ok());
        let names: Vec<&str> = all.map(|named| named.as_str_name()).collect();
        let listed: Vec<&str> = TOKENS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, listed);
    }

    #[test]
    fn shapes_have_the_numbers_of_the_model() {
        let point = |shape: &str, width, heads| HookPoint {
            shape: shape.into(),
            width,
            heads,
            ..Default::default()
        };
        assert_eq!(super::shape(&point("(R, D)", 64, 0)), "(R, D=64)");
        assert_eq!(super::shape(&point("(R, H, Dh)", 16, 4)), "(R, H=4, Dh=16)");
        assert_eq!(super::shape(&point("(H, T, S)", 0, 4)), "(H=4, T, S)");
    }
}
