//! A server at a URL, over streamable HTTP. Redirects are not followed: a credential goes to the address that was
//! written down and nowhere else.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};
use rmcp::transport::{DynamicTransportError, StreamableHttpClientTransport};

use super::evidence::Evidence;
use super::mcp::McpConnection;
use super::{Spec, Upstream};
use crate::secret::Secrets;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and shakes hands.
pub(super) async fn connect(spec: &Spec, url: &str, secrets: &Secrets) -> Result<Arc<dyn Upstream>, String> {
    let bearer = match spec.secrets.as_slice() {
        [] => None,
        [name] => secrets.reveal(name),
        _ => return Err("a server at a URL takes one secret, its bearer token, and has several".to_owned()),
    };
    // Fails only where one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| format!("no HTTP client can be made: {error}"))?;
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    config.auth_header = bearer.map(str::to_owned);
    let transport = StreamableHttpClientTransport::with_client(client, config);
    Ok(Arc::new(McpConnection::open(transport, Evidence::none(), spec.handshake).await?))
}

/// Whether a failed POST surely had no effect: the connection was never made, or the server turned it away unread.
/// Anything else may have been executed, an error status from some proxy on the way included.
pub(super) fn surely_not_sent(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    const TOO_MANY_REQUESTS: u16 = 429;
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => error.is_connect() || error.is_builder(),
        Some(StreamableHttpError::HttpStatus(status)) => status.status == TOO_MANY_REQUESTS,
        Some(
            StreamableHttpError::AuthRequired(_)
            | StreamableHttpError::InsufficientScope(_)
            | StreamableHttpError::SessionExpired,
        ) => true,
        _ => false,
    }
}

/// What went wrong with a message, without the names of the parts that carried it.
pub(super) fn transport_words(error: &DynamicTransportError) -> String {
    match error.error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => whole(error),
        Some(other) => whole(other),
        None => whole(error.error.as_ref()),
    }
}

/// The error with everything behind it, on one line.
pub(super) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
