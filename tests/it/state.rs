//! `--state`: what a server keeps for the next one in its place.

use std::path::Path;

use scotoma::server::{Server, ServerConfig};
use scotoma_client::v1::image::Source;
use scotoma_client::v1::load_model_response::Event;
use scotoma_client::v1::{self, Image};
use scotoma_client::{Client, Error};
use tonic::Code;

use crate::common::{FOLDER, Running, ask, picture};

fn config(folder: &Path) -> ServerConfig {
    ServerConfig {
        state: Some(folder.to_owned()),
        allow_load: true,
        ..ServerConfig::shapes()
    }
}

async fn stop(server: Running) {
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

async fn load(client: &mut Client, name: &str) {
    let request = v1::LoadModelRequest {
        name: name.into(),
        place: format!("{FOLDER}/tiny-gqa-tied/model"),
        ..v1::LoadModelRequest::default()
    };
    let mut stream = client.load_model(request).await.unwrap();
    let mut loaded = false;
    while let Some(response) = stream.message().await.unwrap() {
        loaded |= matches!(response.event, Some(Event::Model(_)));
    }
    assert!(loaded);
}

async fn names(client: &mut Client) -> Vec<String> {
    let models = client.list_models().await.unwrap();
    models.into_iter().map(|model| model.name).collect()
}

async fn answer(client: &mut Client, image: &Image) -> Result<v1::Finished, Error> {
    let mut request = ask(vec![]);
    request.prompt.as_mut().unwrap().images = vec![image.clone()];
    client.generate(request).await?.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_has_uploads_and_models() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(config(folder.path())).await;
    let mut client = server.client().await;
    let image = client.upload_image(picture()).await.unwrap();
    assert!(matches!(image.source, Some(Source::Handle(_))));
    let first = answer(&mut client, &image).await.unwrap();
    load(&mut client, "mine").await;
    load(&mut client, "gone").await;
    client.unload_model("gone").await.unwrap();
    // It is of one server at a time.
    let second = config(folder.path());
    let refused = tokio::task::spawn_blocking(move || Server::load(&second).err())
        .await
        .unwrap();
    let refused = refused.expect("the folder is used").to_string();
    assert!(
        refused.contains("another server uses this folder"),
        "{refused}"
    );
    drop(client);
    stop(server).await;

    let server = Running::start(config(folder.path())).await;
    let mut client = server.client().await;
    assert_eq!(names(&mut client).await, ["shapes", "mine"]);
    let again = answer(&mut client, &image).await.unwrap();
    assert_eq!(again.text, first.text);
    drop(client);
    stop(server).await;

    // Without leave to load nothing is loaded, and a flipped bit is never served.
    for entry in std::fs::read_dir(folder.path().join("uploads")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let server = Running::start(ServerConfig {
        allow_load: false,
        ..config(folder.path())
    })
    .await;
    let mut client = server.client().await;
    assert_eq!(names(&mut client).await, ["shapes"]);
    let lost = answer(&mut client, &image).await.unwrap_err();
    assert_eq!(lost.code(), Some(Code::NotFound), "{lost}");
    drop(client);
    stop(server).await;
}
