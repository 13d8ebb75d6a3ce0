//! `--state`: what a server keeps for the next one in its place.

use std::path::Path;
use std::time::Duration;

use scotoma::pipeline::Places;
use scotoma::server::{Server, ServerConfig};
use scotoma_client::v1::image::Source;
use scotoma_client::v1::load_model_response::Event;
use scotoma_client::v1::{self, Image};
use scotoma_client::{Client, Error};
use tonic::Code;

use crate::common::{FOLDER, Running, ask, eventually, picture, serving};

fn config(folder: &Path) -> ServerConfig {
    ServerConfig {
        state: Some(folder.to_owned()),
        allow_load: true,
        ..ServerConfig::shapes()
    }
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
    server.end().await;

    let server = Running::start(config(folder.path())).await;
    let mut client = server.client().await;
    assert_eq!(names(&mut client).await, ["shapes", "mine"]);
    let again = answer(&mut client, &image).await.unwrap();
    assert_eq!(again.text, first.text);
    drop(client);
    server.end().await;

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
    server.end().await;
}

/// What an earlier server was let load, one with narrower bounds does not load again.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_loads_within_its_own_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let set = Path::new(FOLDER).join("tiny-gqa-tied");
    let server = Running::start(config(folder.path())).await;
    let mut client = server.client().await;
    load(&mut client, "mine").await;
    let projector = set.join("second_projector.safetensors");
    let projector = projector.display().to_string();
    let model = client.load_projector("mine", "second", &projector).await;
    assert_eq!(model.unwrap().projectors, ["default", "second"]);
    drop(client);
    server.end().await;
    // Elsewhere; the model alone; both.
    for (root, expected) in [
        (folder.path().to_owned(), None),
        (set.join("model"), Some(vec!["default"])),
        (set, Some(vec!["default", "second"])),
    ] {
        let server = Running::start(ServerConfig {
            places: Places::new(&[root], None).unwrap(),
            ..config(folder.path())
        })
        .await;
        let mut client = server.client().await;
        let models = client.list_models().await.unwrap();
        let mine = models.into_iter().find(|model| model.name == "mine");
        let projectors = mine.map(|model| model.projectors);
        let expected: Option<Vec<String>> =
            expected.map(|names| names.into_iter().map(str::to_owned).collect());
        assert_eq!(projectors, expected);
        drop(client);
        server.end().await;
    }
}

/// An unload that its client does not wait for ends as one that it waits for.
#[tokio::test(flavor = "multi_thread")]
async fn an_unload_is_whole_or_has_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(config(folder.path())).await;
    let mut client = server.client().await;
    for micros in [100, 200, 400, 600, 800, 1200, 1600, 2400, 3200, 4800] {
        load(&mut client, "gone").await;
        let patience = Duration::from_micros(micros);
        let unload = client.unload_model("gone");
        // Where it is dropped, the call is cancelled.
        let _ = tokio::time::timeout(patience, unload).await;
        // The server has to have seen it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if names(&mut client).await.contains(&"gone".to_owned()) {
            client.unload_model("gone").await.unwrap();
        }
        eventually("the health service knows", async || {
            serving(&server, "model/gone").await == 2
        })
        .await;
    }
    drop(client);
    server.end().await;
    let server = Running::start(config(folder.path())).await;
    let mut client = server.client().await;
    assert_eq!(names(&mut client).await, ["shapes"]);
    drop(client);
    server.end().await;
}

/// Models that are loaded at once are all remembered, whichever was written last.
#[tokio::test(flavor = "multi_thread")]
async fn loads_at_once_are_all_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(config(folder.path())).await;
    let all: Vec<String> = (0..12).map(|i| format!("mine {i}")).collect();
    let loads = all.iter().map(async |name| {
        load(&mut server.client().await, name).await;
    });
    futures::future::join_all(loads).await;
    server.end().await;
    let server = Running::start(config(folder.path())).await;
    let mut found = names(&mut server.client().await).await;
    found.retain(|name| name != "shapes");
    found.sort_by_key(|name| all.iter().position(|own| own == name));
    assert_eq!(found, all);
    server.end().await;
}
