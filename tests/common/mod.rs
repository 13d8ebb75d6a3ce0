//! What several tests share: the golden sets, and a real server on port 0.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, reason = "each test uses a part")]

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use scotoma::engine::{Job, Work};
use scotoma::intervention::{
    Choice, Context, DropLayers, Fill, Intervention, OccludePatches, Order, PermuteTokens, Plan, Scope, SwapProjector,
    compile,
};
use scotoma::model::{ImageTokens, Model, Source};
use scotoma::nn::Stack;
use scotoma::server::{Config, Server};
use scotoma::vision::Picture;
use scotoma_client::Client;
use serde::Deserialize;

pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens");

#[derive(Deserialize)]
pub struct Goldens {
    pub chat: String,
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub text: String,
    pub images: Vec<String>,
    #[serde(default)]
    pub interventions: Spec,
}

/// The interventions of a case, in the capture script's words.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    occlude: Option<Vec<u32>>,
    drop_tower_layers: Option<Vec<u32>>,
    swap_projector: Option<String>,
    permute: Option<Vec<u32>>,
    drop_layers: Option<Vec<u32>>,
}

impl Spec {
    fn list(&self) -> Vec<Intervention> {
        let mut list = Vec::new();
        if let Some(cells) = &self.occlude {
            list.push(Intervention::OccludePatches(OccludePatches {
                choice: Choice::Indices(cells.clone()),
                grid: 0,
                fill: Fill::Black,
                fill_seed: None,
            }));
        }
        for (stack, layers) in
            [(Stack::VisionTower, &self.drop_tower_layers), (Stack::LanguageModel, &self.drop_layers)]
        {
            if let Some(layers) = layers {
                list.push(Intervention::DropLayers(DropLayers { stack, layers: layers.clone() }));
            }
        }
        if let Some(name) = &self.swap_projector {
            list.push(Intervention::SwapProjector(SwapProjector::Named(name.clone())));
        }
        if let Some(order) = &self.permute {
            list.push(Intervention::PermuteTokens(PermuteTokens {
                order: Order::Given(order.clone()),
                scope: Scope::All,
            }));
        }
        list
    }
}

/// A case ready to run.
pub struct Prepared {
    pub plan: Plan,
    pub pixels: Vec<Tensor>,
    pub images: Vec<ImageTokens>,
    pub ids: Vec<u32>,
}

impl Prepared {
    pub fn job(&self, model: &Arc<Model>, plan: Plan, work: Work) -> Job {
        Job {
            model: model.clone(),
            plan: Arc::new(plan),
            pixels: self.pixels.clone(),
            images: self.images.clone(),
            prompt: self.ids.clone(),
            work,
            deadline: None,
        }
    }
}

impl Case {
    /// The case compiled against a model, image interventions applied, tokens expanded.
    pub fn prepare(&self, model: &Model) -> Prepared {
        let mut pictures = self.pictures(model);
        let images: Vec<ImageTokens> = pictures.iter().map(|p| model.tokens(p)).collect();
        let context = Context { model, images: &images, sample_key: "", saliency: &[] };
        let plan = compile(&self.interventions.list(), &context).unwrap();
        for paint in &plan.paints {
            paint.apply(&mut pictures[paint.image], &model.processor);
        }
        let pixels = pictures.iter().map(|p| model.pixels(p).unwrap()).collect();
        let counts: Vec<usize> = images.iter().map(ImageTokens::len).collect();
        let ids = model.expand(&model.text.encode(&self.text).unwrap(), &counts);
        Prepared { plan, pixels, images, ids }
    }

    /// The pictures of the case as the model sees them.
    pub fn pictures(&self, model: &Model) -> Vec<Picture> {
        let load = |name: &String| {
            let bytes = std::fs::read(Path::new(FOLDER).join(format!("pictures/{name}.png"))).unwrap();
            let picture = scotoma::vision::decode(&bytes, 1 << 20).unwrap();
            model.processor.picture(&picture, self.images.len()).unwrap()
        };
        self.images.iter().map(load).collect()
    }
}

pub fn source(set: &str) -> Source {
    if set == "shapes" { scotoma::model::shapes() } else { Source::Folder(Path::new(FOLDER).join(set).join("model")) }
}

/// The model of a golden set, in f32 on the CPU, with its second projector.
pub fn model(set: &str) -> Model {
    let mut model = Model::load(set, &source(set), DType::F32, &Device::Cpu).unwrap();
    for file in ["second_projector.safetensors", "mm_projector.bin"] {
        let second = Path::new(FOLDER).join(set).join(file);
        if second.exists() {
            model.add_projector("second", &second).unwrap();
        }
    }
    model
}

pub fn goldens(set: &str) -> Goldens {
    let bytes = std::fs::read(Path::new(FOLDER).join(set).join("cases.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A real server on a free port, and how to end it.
pub struct Running {
    pub address: String,
    pub stop: tokio::sync::oneshot::Sender<()>,
    pub task: tokio::task::JoinHandle<Result<(), scotoma::server::Error>>,
}

impl Running {
    pub async fn start(config: Config) -> Self {
        let server = tokio::task::spawn_blocking(move || Server::load(&config)).await.unwrap().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(server.run(listener, async {
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.address).await.unwrap()
    }
}

/// A picture of the benchmark.
pub fn picture() -> Vec<u8> {
    scotoma::benchmark::shapes().unwrap().swap_remove(0).image
}
