//! A provider over HTTP, in any protocol of `wire`, at any base URL. One request, one answer, no retries: whether to
//! send again is the door's business. No key is ever in an error, a log or a `Debug` text.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use domain::message::Content;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use tokio::time::timeout;

use crate::provider::{Answer, Provider, ProviderError, Request, Sink, Verbatim};
use crate::sse::STREAM_LIMIT;
use crate::wire::{AnswerReader, Wire, anthropic, refused};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a provider may think before the first byte of its answer: an engine on a small machine reads slowly.
const FIRST_BYTE: Duration = Duration::from_secs(300);
/// How long a provider may take to count.
const COUNT: Duration = Duration::from_secs(10);
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

/// A provider over HTTP.
pub struct HttpProvider {
    client: Client,
    wire: Wire,
    base_url: String,
    key: Option<String>,
}

impl std::fmt::Debug for HttpProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("HttpProvider");
        shown.field("wire", &self.wire).field("has_key", &self.key.is_some()).finish_non_exhaustive()
    }
}

impl HttpProvider {
    /// The provider at this base URL, written as people write it: with a slash at the end or without.
    pub fn new(client: Client, wire: Wire, base_url: &str, key: Option<String>) -> Self {
        HttpProvider { client, wire, base_url: base_url.to_owned(), key }
    }

    fn headers(&self, verbatim: Option<&Verbatim>) -> Result<HeaderMap, ProviderError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.wire == Wire::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static(anthropic::VERSION));
        }
        let own = verbatim.iter().flat_map(|verbatim| &verbatim.headers);
        for (name, value) in own {
            let unfit = || ProviderError::NotSent { reason: format!("no header can be {name:?}"), retryable: false };
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| unfit())?);
        }
        if let Some(key) = &self.key {
            let reason = "the provider's key has characters that no header can carry".to_owned();
            let unfit = |_| ProviderError::NotSent { reason, retryable: false };
            let (name, before) = self.wire.key_header();
            let mut key = HeaderValue::from_str(&format!("{before}{}", key.trim())).map_err(unfit)?;
            key.set_sensitive(true);
            headers.insert(name, key);
        }
        Ok(headers)
    }

    async fn exchange(&self, asked: &Request, body: Bytes, sink: Sink<'_>) -> Result<Answer, ProviderError> {
        let streamed = asked.verbatim.as_ref().is_none_or(|verbatim| verbatim.stream);
        let url = self.wire.url(&self.base_url, &asked.model, streamed);
        let request = self.client.post(url).headers(self.headers(asked.verbatim.as_ref())?).body(body).send();
        let response = match timeout(FIRST_BYTE, request).await {
            Ok(sent) => sent.map_err(|error| not_answered(&error))?,
            Err(_) => return Err(lost(format!("no answer within {} s", FIRST_BYTE.as_secs()))),
        };
        if response.status().as_u16() != 200 {
            return Err(refusal(response).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("no type");
        match kind.split(';').next().map(str::trim) {
            Some("text/event-stream") => {
                let reader = self.wire.reader(uses_before(asked));
                follow(response, if asked.verbatim.is_some() { reader.verbatim() } else { reader }, sink).await
            }
            Some("application/json") => {
                let body = whole(response).await?;
                let answer = self.wire.whole(&body, uses_before(asked))?;
                Ok(if asked.verbatim.is_some() { Answer { tail: body, ..answer } } else { answer })
            }
            _ => {
                let reason = format!("an answer of {kind}; is the provider's base_url right?");
                Err(ProviderError::Rubbish { protocol: self.wire.name(), reason })
            }
        }
    }

    /// A provider may repeat what it was sent.
    fn hide(&self, error: ProviderError) -> ProviderError {
        let Some(key) = self.key.as_deref().map(str::trim).filter(|key| !key.is_empty()) else { return error };
        let hidden = |reason: String| reason.replace(key, "[the key]");
        match error {
            ProviderError::NotSent { reason, retryable } => {
                ProviderError::NotSent { reason: hidden(reason), retryable }
            }
            // Said here, not there.
            ProviderError::Crowded { .. } => error,
            ProviderError::Rejected { status, reason, retryable, retry_after_ms } => {
                ProviderError::Rejected { status, reason: hidden(reason), retryable, retry_after_ms }
            }
            ProviderError::Unknown { reason } => ProviderError::Unknown { reason: hidden(reason) },
            ProviderError::Rubbish { protocol, reason } => ProviderError::Rubbish { protocol, reason: hidden(reason) },
        }
    }
}

#[async_trait]
impl Provider for HttpProvider {
    fn body(&self, request: &Request) -> Bytes {
        match &request.verbatim {
            Some(verbatim) => verbatim.body.clone(),
            None => self.wire.encode(request, &self.base_url).into(),
        }
    }

    async fn send(&self, request: &Request, body: Bytes, sink: Sink<'_>) -> Result<Answer, ProviderError> {
        self.exchange(request, body, sink).await.map_err(|error| self.hide(error))
    }

    async fn count(&self, question: &Verbatim) -> Option<Bytes> {
        let url = self.wire.counting_url(&self.base_url)?;
        let headers = self.headers(Some(question)).ok()?;
        let counted = async {
            let response = self.client.post(url).headers(headers).body(question.body.clone()).send().await.ok()?;
            if response.status().as_u16() != 200 {
                return None;
            }
            whole(response).await.ok()
        };
        let body = timeout(COUNT, counted).await.ok().flatten()?;
        let said: serde_json::Value = serde_json::from_slice(&body).ok()?;
        said["input_tokens"].is_u64().then_some(body)
    }
}

/// How many uses were said in the conversation, for whoever must make up ids of further ones. A client's own bytes are
/// not counted: its ids are what its provider gave.
fn uses_before(request: &Request) -> usize {
    if request.verbatim.is_some() {
        return 0;
    }
    let said = request.messages.iter().flat_map(|message| &message.parts);
    said.filter(|part| matches!(part.content, Content::Use { .. })).count()
}

async fn follow(mut response: Response, mut reader: AnswerReader, sink: Sink<'_>) -> Result<Answer, ProviderError> {
    while !reader.is_complete() {
        match next(&mut response).await? {
            Some(chunk) => reader.push(&chunk, &|delta| sink(delta))?,
            None => return reader.finish(),
        }
    }
    while let Ok(Ok(Some(_))) = timeout(LINGER, response.chunk()).await {}
    reader.finish()
}

/// The body of an answer that is no stream.
async fn whole(mut response: Response) -> Result<Bytes, ProviderError> {
    let Some(first) = next(&mut response).await? else { return Ok(Bytes::new()) };
    let Some(second) = next(&mut response).await? else { return Ok(first) };
    let mut body = BytesMut::from(&first[..]);
    body.extend_from_slice(&second);
    while let Some(chunk) = next(&mut response).await? {
        body.extend_from_slice(&chunk);
        if body.len() > STREAM_LIMIT {
            let reason = format!("an answer longer than {STREAM_LIMIT} bytes");
            return Err(ProviderError::Rubbish { protocol: "an answer within reason", reason });
        }
    }
    Ok(body.freeze())
}

/// The next bytes of an answer.
async fn next(response: &mut Response) -> Result<Option<Bytes>, ProviderError> {
    match timeout(SILENCE, response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(lost(format!("the answer broke off: {}", chain(&error)))),
        Err(_) => Err(lost(format!("the answer was silent for {} s", SILENCE.as_secs()))),
    }
}

async fn refusal(mut response: Response) -> ProviderError {
    let status = response.status().as_u16();
    let retry_after_ms = retry_after_ms(response.headers());
    let may_retry = response.headers().get("x-should-retry").map(|value| value != "false");
    let mut body = Vec::new();
    while let Ok(Ok(Some(chunk))) = timeout(REFUSAL, response.chunk()).await {
        body.extend_from_slice(&chunk);
        if body.len() >= REFUSAL_BYTES {
            body.truncate(REFUSAL_BYTES);
            break;
        }
    }
    match refused(status, &body, retry_after_ms) {
        // It says itself that asking again does not help.
        ProviderError::Rejected { status, reason, retry_after_ms, .. } if may_retry == Some(false) => {
            ProviderError::Rejected { status, reason, retryable: false, retry_after_ms }
        }
        error => error,
    }
}

/// `retry-after-ms`, or `retry-after` in seconds (RFC 9110 §10.2.3); a date is not read, since providers send none.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let number = |name: HeaderName| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let ms = number(HeaderName::from_static("retry-after-ms"));
    let ms = ms.or_else(|| number(RETRY_AFTER).map(|seconds| seconds * 1000.0))?;
    (ms >= 0.0 && ms.is_finite()).then_some(ms.ceil() as u64)
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
