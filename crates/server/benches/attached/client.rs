//! HTTP/1.1 on one connection that stays: as little as a client can do, so that what is measured is the server.

use std::time::Duration;

use domain::clock::Stopwatch;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a request took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    /// Until the first words were there.
    pub(crate) first: Duration,
    /// Until the end was.
    pub(crate) all: Duration,
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    head: String,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(host: &str, key: &str) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let head = format!("host: {host}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n");
        Ok(Client { stream, head, read: Vec::with_capacity(1 << 16) })
    }

    /// With more lines in the head of each request.
    pub(crate) fn with(mut self, headers: &str) -> Client {
        self.head.push_str(headers);
        self
    }

    /// Asks the model.
    pub(crate) async fn ask(&mut self, body: &str) -> anyhow::Result<Took> {
        let watch = Stopwatch::start();
        let first = self.exchange("POST", "/v1/messages", body, watch).await?;
        anyhow::ensure!(self.read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.read));
        Ok(Took { first, all: watch.elapsed() })
    }

    /// Asks for JSON.
    pub(crate) async fn json(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        self.exchange(method, path, body, Stopwatch::start()).await?;
        let text = String::from_utf8_lossy(&self.read);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|error| anyhow::anyhow!("{error} in {text}"))
    }

    async fn exchange(&mut self, method: &str, path: &str, body: &str, watch: Stopwatch) -> anyhow::Result<Duration> {
        let head = &self.head;
        let request = format!("{method} {path} HTTP/1.1\r\n{head}content-length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        let mut first = None;
        while !self.is_whole() {
            anyhow::ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the connection ended");
            if first.is_none() && has(&self.read, b"text_delta") {
                first = Some(watch.elapsed());
            }
        }
        Ok(first.unwrap_or_else(|| watch.elapsed()))
    }

    fn is_whole(&self) -> bool {
        let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&self.read[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        match length {
            Some(length) => self.read.len() >= end + 4 + length,
            None => self.read.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

fn has(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|some| some == word)
}
