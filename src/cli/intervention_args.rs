//! Interventions as flags.

use clap::Args;
use scotoma_client::v1::intervention::Kind;
use scotoma_client::v1::occlude_patches::Choice;
use scotoma_client::v1::salient_patches::Amount;
use scotoma_client::v1::{EvaluateVariant, PatchIndices, RandomPatches, SalientPatches};
use scotoma_client::{self as client, Intervention};
use serde_json::Value;

/// Heading of these flags in help texts.
const HEADING: &str = "Interventions";

/// Changes to the forward pass, applied in data-path order whatever their order here.
#[derive(Debug, Default, Args)]
pub(super) struct InterventionArgs {
    /// Hide patches: random:RATIO[:SEED], salient:MASS, non-salient:MASS, or cell:N[,N...]
    #[arg(help_heading = HEADING, long, value_name = "CHOICE", value_parser = occlude)]
    occlude: Vec<Intervention>,
    /// Drop these layers of the vision tower, counted from 0, such as 0,1
    #[arg(help_heading = HEADING, long, value_name = "LAYERS", value_delimiter = ',')]
    drop_tower_layers: Vec<u32>,
    /// Use another projector: random:SEED, identity, or the name of a loaded one
    #[arg(help_heading = HEADING, long, value_name = "SOURCE", value_parser = swap)]
    swap_projector: Option<Intervention>,
    /// Permute the visual tokens at random, by this seed
    #[arg(help_heading = HEADING, long, value_name = "SEED")]
    permute: Option<u64>,
    /// Drop these layers of the language model, counted from 0, such as 10,11
    #[arg(help_heading = HEADING, long, value_name = "LAYERS", value_delimiter = ',')]
    drop_layers: Vec<u32>,
    /// Any intervention in canonical JSON, such as {"blankImage":{"colour":"COLOUR_WHITE"}}
    ///
    /// Repeat for several.
    #[arg(help_heading = HEADING, long, value_name = "JSON", value_parser = intervention)]
    intervene: Vec<Intervention>,
}

/// Changes to a picture.
#[derive(Debug, Default, Args)]
pub(super) struct ImageInterventionArgs {
    /// Hide patches: random:RATIO[:SEED], salient:MASS, non-salient:MASS, or cell:N[,N...]
    #[arg(help_heading = HEADING, long, value_name = "CHOICE", value_parser = occlude)]
    occlude: Vec<Intervention>,
    /// Intervention on the picture, in canonical JSON
    ///
    /// Such as {"blankImage":{"colour":"COLOUR_WHITE"}}. Repeat for several.
    #[arg(help_heading = HEADING, long, value_name = "JSON", value_parser = image_intervention)]
    intervene: Vec<Intervention>,
}

impl ImageInterventionArgs {
    /// Lists the interventions of the flags.
    pub(super) fn interventions(&self) -> Vec<Intervention> {
        self.occlude
            .iter()
            .chain(&self.intervene)
            .cloned()
            .collect()
    }
}

impl InterventionArgs {
    /// Lists the interventions of the flags.
    pub(super) fn interventions(&self) -> Vec<Intervention> {
        // In the order of the data path, so that a record reads as the forward pass goes.
        let mut list = self.occlude.clone();
        // A flag that is not given makes no intervention, not one without layers.
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

/// Makes a variant of Evaluate from interventions in canonical JSON.
pub(super) fn variant(
    name: &str,
    pictures: &str,
    interventions: &[Value],
) -> Result<EvaluateVariant, String> {
    let interventions = interventions
        .iter()
        .map(|value| intervention(&value.to_string()))
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{name}: {e}"))?;
    Ok(EvaluateVariant {
        name: name.into(),
        interventions,
        pictures: pictures.into(),
    })
}

pub(super) fn intervention(text: &str) -> Result<Intervention, String> {
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
    let choice = match parts[..] {
        ["random", ratio] => Choice::Random(RandomPatches {
            ratio: number(ratio)?,
            seed: None,
        }),
        ["random", ratio, seed] => Choice::Random(RandomPatches {
            ratio: number(ratio)?,
            seed: Some(number(seed)?),
        }),
        ["salient", mass] => Choice::Salient(salient_patches(mass)?),
        ["non-salient", mass] => Choice::NonSalient(salient_patches(mass)?),
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

fn salient_patches(mass: &str) -> Result<SalientPatches, String> {
    Ok(SalientPatches {
        amount: Some(Amount::Mass(number(mass)?)),
        ..Default::default()
    })
}

fn swap(text: &str) -> Result<Intervention, String> {
    Ok(match text.split_once(':') {
        Some(("random", seed)) => client::swap_projector_at_random(number(seed)?),
        _ if text == "identity" => client::swap_projector_by_identity(),
        // Only `random:` is ours: a name may hold a colon.
        _ => client::swap_projector_by_name(text),
    })
}
