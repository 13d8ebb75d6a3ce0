//! Interventions as flags.

use clap::Args;
use scotoma_client::v1::intervention::Kind;
use scotoma_client::v1::occlude_patches::Choice;
use scotoma_client::v1::salient_patches::Amount;
use scotoma_client::v1::{EvaluateVariant, PatchIndices, RandomPatches, SalientPatches};
use scotoma_client::{self as client, Intervention};
use serde_json::Value;

/// Under which help lists them.
const HEADING: &str = "Interventions";

/// The changes to the forward pass; they are applied in data-path order whatever their order here.
#[derive(Debug, Default, Args)]
pub(super) struct Flags {
    /// Hide patches: random:RATIO[:SEED], salient:MASS, non-salient:MASS, or cell:N[,N...]
    #[arg(help_heading = HEADING, long, value_name = "CHOICE", value_parser = occlude)]
    occlude: Vec<Intervention>,
    /// Drop layers of the vision tower, from 0
    #[arg(help_heading = HEADING, long, value_name = "LAYERS", value_delimiter = ',')]
    drop_tower_layers: Vec<u32>,
    /// Another projector: random:SEED, identity, or the name of a resident one
    #[arg(help_heading = HEADING, long, value_name = "SOURCE", value_parser = swap)]
    swap_projector: Option<Intervention>,
    /// Permute the visual tokens by this seed
    #[arg(help_heading = HEADING, long, value_name = "SEED")]
    permute: Option<u64>,
    /// Drop layers of the language model, from 0
    #[arg(help_heading = HEADING, long, value_name = "LAYERS", value_delimiter = ',')]
    drop_layers: Vec<u32>,
    /// Any intervention in canonical JSON, {"blankImage":{"colour":"COLOUR_WHITE"}} for instance
    #[arg(help_heading = HEADING, long, value_name = "JSON", value_parser = intervention)]
    intervene: Vec<Intervention>,
}

/// The changes to a picture.
#[derive(Debug, Default, Args)]
pub(super) struct ImageFlags {
    /// Hide patches: random:RATIO[:SEED], salient:MASS, non-salient:MASS, or cell:N[,N...]
    #[arg(help_heading = HEADING, long, value_name = "CHOICE", value_parser = occlude)]
    occlude: Vec<Intervention>,
    /// An intervention on the picture in canonical JSON, {"blankImage":{"colour":"COLOUR_WHITE"}}
    /// for instance
    #[arg(help_heading = HEADING, long, value_name = "JSON", value_parser = image_intervention)]
    intervene: Vec<Intervention>,
}

impl ImageFlags {
    /// Lists what the flags ask for.
    pub(super) fn interventions(&self) -> Vec<Intervention> {
        self.occlude
            .iter()
            .chain(&self.intervene)
            .cloned()
            .collect()
    }
}

impl Flags {
    /// Lists what the flags ask for.
    pub(super) fn interventions(&self) -> Vec<Intervention> {
        let mut list = self.occlude.clone();
        if !self.drop_tower_layers.is_empty() {
            list.push(client::drop_tower_layers(
                self.drop_tower_layers.iter().copied(),
            ));
        }
        list.extend(self.swap_projector.clone());
        list.extend(self.permute.map(client::permute_tokens));
        if !self.drop_layers.is_empty() {
            list.push(client::drop_layers(self.drop_layers.iter().copied()));
        }
        list.extend(self.intervene.iter().cloned());
        list
    }
}

/// A variant of Evaluate from interventions in canonical JSON.
pub(super) fn variant(
    name: &str,
    pictures: &str,
    interventions: &[Value],
) -> Result<EvaluateVariant, String> {
    let one = |value: &Value| intervention(&value.to_string()).map_err(|e| format!("{name}: {e}"));
    let interventions = interventions.iter().map(one).collect::<Result<_, _>>()?;
    Ok(EvaluateVariant {
        name: name.into(),
        interventions,
        pictures: pictures.into(),
    })
}

fn intervention(text: &str) -> Result<Intervention, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

fn image_intervention(text: &str) -> Result<Intervention, String> {
    let found = intervention(text)?;
    match found.kind {
        Some(Kind::BlankImage(_) | Kind::ShufflePatches(_) | Kind::OccludePatches(_)) => Ok(found),
        _ => Err(
            "it does not change the picture; blankImage, shufflePatches and occludePatches do"
                .into(),
        ),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number"))
}

fn occlude(text: &str) -> Result<Intervention, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let salient = |mass: &str| {
        Ok::<_, String>(SalientPatches {
            amount: Some(Amount::Mass(number(mass)?)),
            ..Default::default()
        })
    };
    let choice = match parts[..] {
        ["random", ratio] => Choice::Random(RandomPatches {
            ratio: number(ratio)?,
            seed: None,
        }),
        ["random", ratio, seed] => Choice::Random(RandomPatches {
            ratio: number(ratio)?,
            seed: Some(number(seed)?),
        }),
        ["salient", mass] => Choice::Salient(salient(mass)?),
        ["non-salient", mass] => Choice::NonSalient(salient(mass)?),
        ["cell", cells] => Choice::Indices(PatchIndices {
            indices: cells.split(',').map(number).collect::<Result<_, _>>()?,
        }),
        _ => {
            return Err(
                "random:RATIO[:SEED], salient:MASS, non-salient:MASS or cell:N,N is needed".into(),
            );
        }
    };
    Ok(client::occlude_patches(choice))
}

fn swap(text: &str) -> Result<Intervention, String> {
    Ok(match text.split_once(':') {
        Some(("random", seed)) => client::swap_projector_at_random(number(seed)?),
        _ if text == "identity" => client::swap_projector_by_identity(),
        _ => client::swap_projector_by_name(text),
    })
}
