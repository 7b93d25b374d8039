//! Anthropic Messages over HTTP, any base URL. One request, one answer, no retries: whether to send again is the
//! door's business. No key is ever in an error, a log or a `Debug` text.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use tokio::time::timeout;

use crate::provider::{Answer, Provider, ProviderError, Request, Sink};
use crate::wire::anthropic::{self, AnswerReader, PROTOCOL};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a provider may think before the first byte of its answer: an engine on a small machine reads slowly.
const FIRST_BYTE: Duration = Duration::from_secs(300);
/// How long a stream may be silent; providers send pings.
const SILENCE: Duration = Duration::from_secs(120);
/// How long the body of a refusal may take.
const REFUSAL: Duration = Duration::from_secs(10);
/// The longest body of a refusal that is read, in bytes.
const REFUSAL_BYTES: usize = 64 << 10;
/// How long the end of a stream is waited for after the answer is complete, so that the connection can be used again.
const LINGER: Duration = Duration::from_millis(50);

/// The client that all providers share: no redirects, so that a key never follows one, and no proxy from the
/// environment.
///
/// # Errors
/// When the machine's certificates cannot be read.
pub fn client() -> Result<Client, String> {
    // Whoever was first has installed the same one.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = Client::builder().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none()).no_proxy();
    client.build().map_err(|error| format!("no HTTPS client can be made: {}", chain(&error)))
}

/// A provider that speaks Anthropic Messages.
pub struct AnthropicHttp {
    client: Client,
    url: String,
    key: Option<String>,
}

impl std::fmt::Debug for AnthropicHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnthropicHttp").field("has_key", &self.key.is_some()).finish_non_exhaustive()
    }
}

impl AnthropicHttp {
    /// The provider at this base URL: its root, with or without `/v1`, with or without a slash at the end.
    pub fn new(client: Client, base_url: &str, key: Option<String>) -> Self {
        let root = base_url.trim().trim_end_matches('/');
        let root = root.strip_suffix("/v1").unwrap_or(root);
        AnthropicHttp { client, url: format!("{root}/v1/messages"), key }
    }

    fn headers(&self) -> Result<HeaderMap, ProviderError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("anthropic-version", HeaderValue::from_static(anthropic::VERSION));
        if let Some(key) = &self.key {
            let reason = "the provider's key has characters that no header can carry".to_owned();
            let unfit = |_| ProviderError::NotSent { reason, retryable: false };
            let mut key = HeaderValue::from_str(key.trim()).map_err(unfit)?;
            key.set_sensitive(true);
            headers.insert("x-api-key", key);
        }
        Ok(headers)
    }

    async fn exchange(&self, body: Bytes, sink: Sink<'_>) -> Result<Answer, ProviderError> {
        let request = self.client.post(&self.url).headers(self.headers()?).body(body).send();
        let response = match timeout(FIRST_BYTE, request).await {
            Ok(sent) => sent.map_err(|error| not_answered(&error))?,
            Err(_) => return Err(lost(format!("no answer within {} s", FIRST_BYTE.as_secs()))),
        };
        if response.status().as_u16() != 200 {
            return Err(refusal(response).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("no type");
        if !kind.trim_start().starts_with("text/event-stream") {
            let reason = format!("an answer of {kind}; is the provider's base_url right?");
            return Err(ProviderError::Rubbish { protocol: PROTOCOL, reason });
        }
        follow(response, sink).await
    }

    /// A provider may repeat what it was sent.
    fn hide(&self, error: ProviderError) -> ProviderError {
        let Some(key) = self.key.as_deref().map(str::trim).filter(|key| !key.is_empty()) else { return error };
        let hidden = |reason: String| reason.replace(key, "[the key]");
        match error {
            ProviderError::NotSent { reason, retryable } => {
                ProviderError::NotSent { reason: hidden(reason), retryable }
            }
            ProviderError::Rejected { status, reason, retryable, retry_after_ms } => {
                ProviderError::Rejected { status, reason: hidden(reason), retryable, retry_after_ms }
            }
            ProviderError::Unknown { reason } => ProviderError::Unknown { reason: hidden(reason) },
            ProviderError::Rubbish { protocol, reason } => ProviderError::Rubbish { protocol, reason: hidden(reason) },
        }
    }
}

#[async_trait]
impl Provider for AnthropicHttp {
    fn body(&self, request: &Request) -> Bytes {
        anthropic::encode(request).into()
    }

    async fn send(&self, _: &Request, body: Bytes, sink: Sink<'_>) -> Result<Answer, ProviderError> {
        self.exchange(body, sink).await.map_err(|error| self.hide(error))
    }
}

async fn follow(mut response: Response, sink: Sink<'_>) -> Result<Answer, ProviderError> {
    let mut reader = AnswerReader::default();
    while !reader.is_complete() {
        match timeout(SILENCE, response.chunk()).await {
            Ok(Ok(Some(chunk))) => reader.push(&chunk, &|delta| sink(delta))?,
            Ok(Ok(None)) => return reader.finish(),
            Ok(Err(error)) => return Err(lost(format!("the stream broke off: {}", chain(&error)))),
            Err(_) => return Err(lost(format!("the stream was silent for {} s", SILENCE.as_secs()))),
        }
    }
    while let Ok(Ok(Some(_))) = timeout(LINGER, response.chunk()).await {}
    reader.finish()
}

async fn refusal(mut response: Response) -> ProviderError {
    let status = response.status().as_u16();
    let retry_after_ms = retry_after_ms(response.headers());
    let mut body = Vec::new();
    while let Ok(Ok(Some(chunk))) = timeout(REFUSAL, response.chunk()).await {
        body.extend_from_slice(&chunk);
        if body.len() >= REFUSAL_BYTES {
            body.truncate(REFUSAL_BYTES);
            break;
        }
    }
    anthropic::refused(status, &body, retry_after_ms)
}

/// `retry-after` in seconds (RFC 9110 §10.2.3); a date is not read, since providers send none.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds >= 0.0 && seconds.is_finite()).then_some((seconds * 1000.0).ceil() as u64)
}

fn not_answered(error: &reqwest::Error) -> ProviderError {
    let reason = chain(error);
    if error.is_builder() {
        ProviderError::NotSent { reason, retryable: false }
    } else if error.is_connect() {
        ProviderError::NotSent { reason, retryable: true }
    } else {
        lost(reason)
    }
}

fn lost(reason: String) -> ProviderError {
    ProviderError::Unknown { reason }
}

/// An error and what is behind it, without the address, which may hold a password.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() { "no connection" } else { "the exchange failed" }.to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
