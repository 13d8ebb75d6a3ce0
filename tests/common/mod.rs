//! Shared by tests: the golden sets, and a real server on port 0.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test uses a part"
)]

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};
pub use scotoma::api::interventions_from_json;
use scotoma::engine::parity::{GoldenSet, Prepared};
use scotoma::engine::{ClientId, Deadline, Engine, Request, Task, Variant};
use scotoma::model::{Load, LoadTo, Model, Pixels, PreparedModel, Source, ViewInfo};
use scotoma::nn::{DeviceGroup, DeviceId, Home};
use scotoma::server::{Server, ServerConfig};
use scotoma::weights::Matrices;
use scotoma_client::{GenerateRequest, Intervention, prompt, v1};
use tempfile::TempDir;

pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens");

/// Makes the engine's request of a prepared case.
pub fn job(case: Prepared, model: &Arc<Model>, task: Task) -> Request {
    Request {
        model: model.clone(),
        client: ClientId::default(),
        variants: vec![variant(case, task)],
        deadline: Deadline::default(),
    }
}

/// Turns a prepared case into a variant of a request.
pub fn variant(case: Prepared, task: Task) -> Variant {
    Variant {
        edit_keys: case.plan.edit_keys().unwrap(),
        plan: case.plan,
        observed: case.observed,
        pixels: case
            .pixels
            .into_iter()
            .map(|p| Pixels::new(p).unwrap())
            .collect(),
        images: case.images,
        prompt: case.prompt,
        task,
    }
}

pub fn source(set: &str) -> Source {
    if set == "shapes" {
        scotoma::model::shapes()
    } else {
        let folder = Path::new(FOLDER).join(set).join("model");
        Source::open(folder.to_str().unwrap()).unwrap().unwrap()
    }
}

/// Loads the model of a folder in f32 on the CPU.
pub fn load_folder(folder: &Path) -> Result<Model, scotoma::model::Error> {
    let source = Source::Folder(folder.to_owned());
    Model::load("copy", &source, DType::F32, &Device::Cpu)
}

/// Loads a model in f32 on the CPU, whose matrices are kept so.
pub fn load_as(source: &Source, matrices: Matrices) -> Model {
    let options = Load {
        matrices,
        ..Load::new(DType::F32, DeviceId::Cpu.into())
    };
    let to = LoadTo {
        devices: &[Device::Cpu],
        home: &Home::host(),
        progress: &|_, _| {},
    };
    let prepared = Model::prepare("copy", source, &options).unwrap();
    prepared.load(&to).unwrap()
}

/// Copies the files of the model of a golden set.
pub fn copy_model(set: &str) -> TempDir {
    copy_files(&Path::new(FOLDER).join(set).join("model"))
}

/// Copies the files of a folder.
pub fn copy_files(from: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// The sizes of a view that fills the tower.
pub fn square(model: &Model) -> ViewInfo {
    let side = model.tower.info().image_size;
    model.tower.view((side, side))
}

/// The model of a golden set, in f32 on the CPU, with its second projector.
pub fn model(set: &str) -> Model {
    model_on(set, DType::F32, &DeviceId::Cpu.into())
}

/// The model of a golden set on the devices of an engine, which alone computes with it.
pub fn model_by(engine: &Engine, set: &str, dtype: DType, device: &DeviceGroup) -> Arc<Model> {
    let prepared = prepared(set, dtype, device);
    let loaded = engine.load(move |to| prepared.load(to), &|_, _| {});
    Arc::new(loaded.unwrap().unwrap())
}

fn prepared(set: &str, dtype: DType, device: &DeviceGroup) -> PreparedModel {
    let options = Load::new(dtype, device.clone());
    Model::prepare(set, &source(set), &options).unwrap()
}

/// The model of a golden set on these devices, with its second projector. Not on a CPU, the calling
/// thread alone may use it.
pub fn model_on(set: &str, dtype: DType, device: &DeviceGroup) -> Model {
    let home = if device.is_cpu() {
        Home::host()
    } else {
        Home::here()
    };
    let to = LoadTo {
        devices: &device.open().unwrap(),
        home: &home,
        progress: &|_, _| {},
    };
    let model = prepared(set, dtype, device).load(&to).unwrap();
    for file in ["second_projector.safetensors", "mm_projector.bin"] {
        let second = Path::new(FOLDER).join(set).join(file);
        if second.exists() {
            model.add_projector("second", &second, u64::MAX).unwrap();
        }
    }
    model
}

pub fn goldens(set: &str) -> GoldenSet {
    if set == "shapes" {
        return GoldenSet::open(
            source(set).within("goldens"),
            source(set).within("goldens/pictures"),
            interventions_from_json,
        )
        .unwrap();
    }
    let folder = |name: &str| Source::Folder(Path::new(FOLDER).join(name));
    GoldenSet::open(folder(set), folder("pictures"), interventions_from_json).unwrap()
}

/// A real server on a free port, and how to end it.
pub struct Running {
    pub address: String,
    pub stop: tokio::sync::oneshot::Sender<()>,
    pub task: tokio::task::JoinHandle<Result<(), scotoma::server::Error>>,
}

impl Running {
    pub async fn start(config: ServerConfig) -> Self {
        Self::start_at("127.0.0.1:0", config).await
    }

    /// Starts a server at an address, such as that of one that has ended.
    pub async fn start_at(address: &str, config: ServerConfig) -> Self {
        let server = tokio::task::spawn_blocking(move || Server::load(&config))
            .await
            .unwrap()
            .unwrap();
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(server.run(listener, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stop,
            task,
        }
    }

    /// Stops the server and waits for its end.
    pub async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    pub async fn client(&self) -> scotoma_client::Client {
        // A server that a test stops does not come back.
        scotoma_client::Connect::to(&self.address)
            .patience(std::time::Duration::ZERO)
            .connect()
            .await
            .unwrap()
    }
}

/// Returns the first picture of the embedded benchmark.
pub fn picture() -> Vec<u8> {
    scotoma::benchmark::shapes()
        .unwrap()
        .swap_remove(0)
        .images
        .swap_remove(0)
}

/// Reads one metric off a page of them.
pub fn metric(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find(|l| l.starts_with(name))
        .unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Fetches the page of metrics.
pub async fn scrape(address: &str) -> String {
    http(address, "GET /metrics", "", b"").await
}

/// Sends an HTTP/1.1 request and returns the head and body of the response as text.
pub async fn http(address: &str, line: &str, headers: &str, body: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let host = address.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream
        .write_all(&[head.as_bytes(), body].concat())
        .await
        .unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

/// What the health service says of `service`: 1 is serving, 2 is not.
pub async fn serving(server: &Running, service: &str) -> i32 {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let endpoint = tonic::transport::Endpoint::from_shared(server.address.clone()).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let request = HealthCheckRequest {
        service: service.into(),
    };
    client.check(request).await.unwrap().into_inner().status
}

/// Asks a short question about a picture of the benchmark.
pub fn ask(interventions: Vec<Intervention>) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        interventions,
        max_tokens: 8,
        ..Default::default()
    }
}

/// Asks for a long answer: so hot that all tokens are equally likely, with a seed that does not draw
/// the end token in 1,900.
pub fn long() -> GenerateRequest {
    let sampling = v1::Sampling {
        temperature: 100.0,
        seed: Some(96),
        ..Default::default()
    };
    GenerateRequest {
        max_tokens: 1900,
        sampling: Some(sampling),
        ..ask(vec![])
    }
}

/// Waits until `done` holds; gives up after ten seconds.
pub async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if done().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{what} did not come about");
}
