//! The models that `serve` loads: where each is, and what belongs to it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::device::{DEVICES, ServerDeviceArgs};
use crate::cli::error::{Failure, Usage};
use crate::cli::lens_args::named_lenses;
use crate::cli::named::once_each;
use crate::cli::origin::{fetch, fetch_with, named_origin};
use crate::cli::sae_args::named_saes;
use crate::model::{self, ChatTemplate, Origin, Purpose, Source};
use crate::nn::DeviceGroup;
use crate::pipeline::LoadOptions;
use crate::server::ModelSpec;

/// Heading of these flags in help texts.
const HEADING: &str = "Models";

/// The models and their parts.
#[derive(Debug, Args)]
pub(super) struct ServedModelArgs {
    /// Model: `shapes` (inside the binary), a folder, or an id of the Hugging Face hub
    ///
    /// A folder is in the format of save_pretrained or of the original LLaVA; an id is
    /// ORGANISATION/NAME[@REVISION], and HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are
    /// honoured. NAME=PLACE gives it another name. Repeat for several.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_MODEL",
        value_delimiter = ',',
        default_value = model::SHAPES,
        // Random weights alone do not bring `shapes` with them.
        default_value_if("random_weights", clap::builder::ArgPredicate::IsPresent, None)
    )]
    model: Vec<String>,
    /// LoRA adapter to merge into the weights of the first model, or of model NAME
    ///
    /// A folder or a hub id, in the format of PEFT or of the original LLaVA; it is merged at load.
    /// Repeat for several models.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_ADAPTER",
        value_name = "[NAME=]PLACE",
        value_delimiter = ','
    )]
    adapter: Vec<String>,
    /// One more projector of the first model, for SwapProjector
    ///
    /// FILE is safetensors or an mm_projector.bin. Repeat for several.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_PROJECTOR",
        value_name = "NAME=FILE",
        value_delimiter = ','
    )]
    projector: Vec<String>,
    /// Sparse autoencoder of the first model, for SetFeature and captures of features
    ///
    /// A folder in the layout of SAELens, dictionary_learning or sparsify. Its hook point is the one
    /// that its configuration names; POINT says another, such as
    /// language_model.blocks.3.hook_resid_post. Repeat for several.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_SAE",
        value_name = "NAME=FOLDER[@POINT]",
        value_delimiter = ','
    )]
    sae: Vec<String>,
    /// Tuned lens of the first model, for captures of top tokens
    ///
    /// A folder that the tuned-lens package saved: config.json with params.pt or params.safetensors.
    /// Repeat for several.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_LENS",
        value_name = "NAME=FOLDER",
        value_delimiter = ','
    )]
    lens: Vec<String>,
    /// Chat template of a model, in place of its own: a file or a name
    ///
    /// A file is Jinja, or JSON with chat_template. Names are those of LLaVA's conversations, such
    /// as vicuna_v1, llava_v1, mistral_instruct, chatml_direct, qwen_1_5, llava_llama_3; an unknown
    /// name lists all. MODEL=TEMPLATE where several models are served. Repeat for several.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_CHAT_TEMPLATE",
        value_name = "[MODEL=]TEMPLATE",
        value_delimiter = ','
    )]
    chat_template: Vec<String>,
    /// Model of real size with random weights, for speed work without a download
    ///
    /// llava-1.5-7b, llava-next-7b, llava-onevision-7b, or a folder without weights. It is served
    /// beside the models of --model, or alone.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_RANDOM_WEIGHTS",
        value_name = "MODEL",
        value_delimiter = ','
    )]
    random_weights: Vec<String>,
    /// ViT (DINO's are) or DINOv2 whose attention gives saliency: a folder or a hub id
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_SALIENCY", value_name = "NAME=PLACE")]
    saliency: Vec<String>,
    /// Most GiB of all models together. Default: no limit
    ///
    /// A model that does not fit is refused.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_MEMORY_BUDGET",
        value_name = "GIB",
        value_parser = clap::value_parser!(u32).range(1..=65_536)
    )]
    memory_budget: Option<u32>,
    #[command(flatten)]
    pub(super) device: ServerDeviceArgs,
    /// Device of a model, such as NAME=cuda:1
    ///
    /// In place of the one on which models take the least memory. Repeat for several.
    #[arg(
        help_heading = DEVICES,
        long,
        env = "SCOTOMA_PLACE",
        value_name = "NAME=DEVICE",
        value_delimiter = ','
    )]
    place: Vec<String>,
}

impl ServedModelArgs {
    /// Returns the most bytes of all models together.
    pub(super) fn budget(&self) -> u64 {
        self.memory_budget
            .map_or(u64::MAX, |gib| u64::from(gib) << 30)
    }

    /// Fetches the models that give saliency, each with its name.
    pub(super) async fn fetch_saliency(&self) -> Result<Vec<(String, Source)>, Failure> {
        let mut fetched = Vec::new();
        for (name, origin) in self.saliency_origins()? {
            fetched.push((name, fetch(origin, Purpose::Part).await?));
        }
        Ok(fetched)
    }

    fn saliency_origins(&self) -> Result<Vec<(String, Origin)>, String> {
        once_each("--saliency", &self.saliency, named_origin)
    }

    /// Lists what is wrong with the parts of the models at `origins`, which may be on `devices`, and
    /// with the saliency models.
    pub(super) fn mistakes(
        &self,
        origins: &[(String, Origin)],
        devices: &[DeviceGroup],
    ) -> Vec<String> {
        let mut mistakes: Vec<String> = self.saliency_origins().err().into_iter().collect();
        self.check_projectors(&mut mistakes);
        mistakes.extend(named_saes(&self.sae).err());
        mistakes.extend(named_lenses(&self.lens).err());
        let names = origins.iter().map(|(name, _)| name.as_str());
        mistakes.extend(self.device.wrong_processors(names));
        self.check_places(origins, devices, &mut mistakes);
        self.check_chat_templates(origins, &mut mistakes);
        mistakes
    }

    /// Fetches all models, and pairs each with the flags that are for it.
    pub(super) async fn fetch_models(
        &self,
        origins: Vec<(String, Origin)>,
    ) -> Result<Vec<ModelSpec>, Failure> {
        let mut adapters = self.adapters(&origins)?;
        let mut models = Vec::new();
        for (i, (name, origin)) in origins.into_iter().enumerate() {
            // One for a model, as `adapters` has seen to.
            let adapter = adapters.iter().position(|(of, _)| *of == name);
            let adapter = adapter.map(|at| adapters.swap_remove(at).1);
            let options = LoadOptions {
                device: self.placed_on(&name).to_owned(),
                // `--dtype` is for all models, and in `ServerConfig`.
                dtype: None,
                image_processor: self.device.image_processor(&name)?,
                chat_template: self.chat_template(&name)?,
            };
            models.push(ModelSpec {
                source: fetch_with(origin, adapter).await?,
                // All further projectors are the first model's.
                projectors: if i == 0 {
                    self.projectors()
                } else {
                    Vec::new()
                },
                // So are sparse autoencoders and tuned lenses.
                saes: if i == 0 {
                    named_saes(&self.sae)?
                } else {
                    Vec::new()
                },
                lenses: if i == 0 {
                    named_lenses(&self.lens)?
                } else {
                    Vec::new()
                },
                name,
                options,
            });
        }
        Ok(models)
    }

    /// Returns the device that `--place` names for a model; empty where it names none.
    fn placed_on(&self, model: &str) -> &str {
        let placed = self.place.iter().filter_map(|p| p.split_once('='));
        let mut own = placed.filter(|(of, _)| *of == model);
        own.next().map_or("", |(_, device)| device)
    }

    /// Parses the adapters, each with the name of its model.
    pub(super) fn adapters(
        &self,
        origins: &[(String, Origin)],
    ) -> Result<Vec<(String, Origin)>, Failure> {
        let mut adapters: Vec<(String, Origin)> = Vec::new();
        for text in &self.adapter {
            // Without a name it is the first model's, as projectors are.
            let first = origins.first().map_or("", |(name, _)| name);
            let (name, place) = text.split_once('=').unwrap_or((first, text));
            if !is_named(origins, name) {
                return Err(Usage(format!(
                    "--adapter {text}: [NAME=]PLACE is needed, NAME that of a model"
                ))
                .into());
            }
            if is_named(&adapters, name) {
                return Err(Usage(format!(
                    "--adapter {text}: model {name} has one already; one is merged"
                ))
                .into());
            }
            let origin = place
                .parse()
                .map_err(|e| Usage(format!("--adapter {text}: {e}")))?;
            adapters.push((name.to_owned(), origin));
        }
        Ok(adapters)
    }

    /// Finds the chat template of a model. One without a name is for the only model.
    fn chat_template(&self, name: &str) -> Result<Option<ChatTemplate>, String> {
        let is_only = self.model.len() + self.random_weights.len() == 1;
        for text in &self.chat_template {
            match text.split_once('=') {
                Some((of, template)) if of == name => return template.parse().map(Some),
                None if is_only => return text.parse().map(Some),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Lists the further projectors of the first model.
    fn projectors(&self) -> Vec<(String, PathBuf)> {
        self.projector
            .iter()
            .filter_map(|text| text.split_once('='))
            .map(|(name, file)| (name.to_owned(), PathBuf::from(file)))
            .collect()
    }

    /// Parses where the models are.
    pub(super) fn origins(&self, mistakes: &mut Vec<String>) -> Vec<(String, Origin)> {
        let models = self
            .model
            .iter()
            .map(|text| ("--model", text, text.clone()));
        let random = self
            .random_weights
            .iter()
            // As a place it has a prefix; a mistake says it as it was typed.
            .map(|text| ("--random-weights", text, format!("{}{text}", model::RANDOM)));
        let mut origins = Vec::new();
        for (flag, text, place) in models.chain(random) {
            match named_origin(&place) {
                Ok((name, _)) if is_named(&origins, &name) => mistakes.push(format!(
                    "{flag} {text}: a model is named {name} already; NAME=PLACE gives it another \
                     name"
                )),
                Ok(origin) => origins.push(origin),
                Err(e) => mistakes.push(format!("{flag} {text}: {e}")),
            }
        }
        origins
    }

    fn check_projectors(&self, mistakes: &mut Vec<String>) {
        for text in &self.projector {
            match text.split_once('=') {
                // Looked for here, so that --check says so, and a start before anything is fetched.
                Some((_, file)) if Path::new(file).is_file() => {}
                Some((_, file)) => mistakes.push(format!("--projector {text}: no file {file}")),
                None => mistakes.push(format!("--projector {text}: NAME=FILE is needed")),
            }
        }
        for (text, name) in repeated(&self.projector) {
            mistakes.push(format!("--projector {text}: {name} is named twice"));
        }
    }

    fn check_places(
        &self,
        origins: &[(String, Origin)],
        devices: &[DeviceGroup],
        mistakes: &mut Vec<String>,
    ) {
        let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
        for text in &self.place {
            let named = text.split_once('=');
            let Some((_, device)) = named.filter(|(name, _)| is_named(origins, name)) else {
                mistakes.push(format!(
                    "--place {text}: NAME=DEVICE is needed, NAME that of a model"
                ));
                continue;
            };
            // A group of --device has one name; its cards cannot be given one by one.
            if !devices.iter().any(|own| own == device) {
                let devices = devices.join(", ");
                mistakes.push(format!(
                    "--place {text}: the server has {devices}; --device names others"
                ));
            }
        }
        for (text, name) in repeated(&self.place) {
            mistakes.push(format!("--place {text}: {name} has a device already"));
        }
    }

    fn check_chat_templates(&self, origins: &[(String, Origin)], mistakes: &mut Vec<String>) {
        for text in &self.chat_template {
            let (model, template) = match text.split_once('=') {
                Some((model, template)) => (Some(model), template),
                None => (None, text.as_str()),
            };
            let known = match model {
                Some(model) => is_named(origins, model),
                None => origins.len() == 1 && self.chat_template.len() == 1,
            };
            if !known {
                mistakes.push(format!(
                    "--chat-template {text}: MODEL=TEMPLATE is needed, MODEL the name of a model"
                ));
            }
            if let Err(e) = template.parse::<ChatTemplate>() {
                mistakes.push(format!("--chat-template {text}: {e}"));
            }
        }
        for (text, model) in repeated(&self.chat_template) {
            mistakes.push(format!("--chat-template {text}: {model} has one already"));
        }
    }
}

/// Returns each of `texts`, NAME=VALUE, whose name an earlier one has, with that name.
fn repeated(texts: &[String]) -> impl Iterator<Item = (&str, &str)> {
    let mut seen = HashSet::new();
    let named = texts
        .iter()
        .filter_map(|text| Some((text.as_str(), text.split_once('=')?.0)));
    named.filter(move |(_, name)| !seen.insert(*name))
}

fn is_named(origins: &[(String, Origin)], name: &str) -> bool {
    origins.iter().any(|(own, _)| own == name)
}
