//! `up`: this process becomes a server, until it is asked to stop.

use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use server::boot::{self, Running};
use server::config::{Config, Secrets, StoreUrl};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Global, Up};
use crate::client::{Client, Outcome, data_dir};
use crate::commands::{apply, store};
use crate::output;

/// How long calls in flight may take to end once asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Starts a server and stays until SIGTERM or Ctrl-C.
pub(crate) async fn up(global: &Global, up: Up) -> Outcome {
    let data = data_dir(global);
    let store = store::named(up.store.as_deref())?;
    // Asked before anything else: a signal that comes while it starts is not lost.
    let stop = asked_to_stop()?;
    let gone = holder_gone(up.while_stdin)?;
    let running = start(&data, store.clone(), &up).await?;
    if !up.files.is_empty() {
        let client = Client::at(&running.url, &running.admin_key, Some(data.clone()))?;
        match apply::send(&client, &up.files, ("", false)).await {
            Ok(came) if came["waits"]["change"].is_string() => {
                output::talk(&format!("{} waits for a second person: ostler inbox", came["waits"]["change"]));
            }
            Ok(_) => {}
            Err(failure) => {
                running.stop().await;
                return Err(failure);
            }
        }
    }
    let words = format!(
        "ostler is up at {} on {}{}\nnext: ostler init my-agent, or ostler get agents; Ctrl-C stops it",
        running.url,
        data.display(),
        store.map(|store| format!(", with its log in {store}")).unwrap_or_default()
    );
    output::done(global.output, &json!({ "url": running.url, "data": data, "pid": std::process::id() }), &words)?;
    tokio::select! {
        () = stop => output::talk("stopping: calls in flight end first"),
        () = gone => output::talk("stopping: whoever started this is gone; calls in flight end first"),
    }
    running.stop().await;
    Ok(())
}

async fn start(data: &Path, store: Option<StoreUrl>, up: &Up) -> Outcome<Running> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|error| {
        anyhow::anyhow!("the data directory {} could not be made: {error}; give another with --data", data.display())
    })?;
    let config = Config {
        data: data.to_owned(),
        store,
        listen: up.listen,
        public_url: up.public_url.clone(),
        secrets: if up.scripted_only { Secrets::default() } else { Secrets::read(data)? },
        mail: up.smtp.clone().zip(up.mail_from.clone()),
        host: server::config::host(),
        scripted_pace: Duration::from_millis(up.scripted_pace_ms),
        drain: DRAIN,
    };
    Ok(boot::start(config).await?)
}

/// Comes true once somebody asks this process to stop: SIGTERM, Ctrl-C, or its terminal is gone.
pub(crate) fn asked_to_stop() -> Outcome<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("signals cannot be heard");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// Comes true once the other end of the pipe at standard input is closed: its holder ended, however it ended.
fn holder_gone(watched: bool) -> Outcome<impl Future<Output = ()>> {
    let pipe = if watched {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().context("standard input cannot be watched")?;
        Some(pipe::Receiver::from_owned_fd(stdin).context("--while-stdin needs a pipe at standard input")?)
    } else {
        None
    };
    Ok(async move {
        let Some(mut pipe) = pipe else { return std::future::pending().await };
        let mut unread = [0; 64];
        while pipe.read(&mut unread).await.is_ok_and(|read| read > 0) {}
    })
}

/// Becomes one of the demo's own MCP servers, until its standard input ends.
pub(crate) async fn mcp_demo(which: &str, files: &Path, delay_ms: u64) -> Outcome {
    Ok(boot::demo_mcp_server(which, files, Duration::from_millis(delay_ms)).await?)
}
