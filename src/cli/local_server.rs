//! A server in this process on a free port, for commands that are given none.

use std::time::Duration;

use scotoma_client::{Client, Connect};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::error::Failure;
use crate::server::{Server, ServerConfig};

/// A server that this process runs.
struct LocalServer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), crate::server::Error>>,
}

impl LocalServer {
    /// Loads the models of `config` and serves them on a free port of the loopback device.
    async fn start(config: ServerConfig) -> Result<(Self, Client), Failure> {
        // Loading computes and reads files for seconds or minutes.
        let server = tokio::task::spawn_blocking(move || Server::load(&config)).await??;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(listener, async {
            let _ = stopped.await;
        }));
        // One that has ended does not come back.
        let client = Connect::to(&address).patience(Duration::ZERO);
        Ok((Self { stop, task }, client.connect().await?))
    }

    /// Stops it once its streams have ended.
    async fn stop(self) -> Result<(), Failure> {
        // The receiver is gone only if the server ended by itself, whose reason the task returns.
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}

/// Runs `work` with a client of a server of this process, then stops the server. An error of the
/// work is returned before one of the server.
pub(super) async fn with_local_server<T>(
    config: ServerConfig,
    work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (server, client) = LocalServer::start(config).await?;
    let done = work(client).await;
    let stopped = server.stop().await;
    // The error of the work comes first: the server's may follow from it.
    let result = done?;
    stopped?;
    Ok(result)
}
