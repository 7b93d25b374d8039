//! The way to a server: found, asked, and its refusals turned into exit codes.

mod failure;
mod stream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::id::Name;
use reqwest::Method;
use serde_json::Value;

use crate::args::Global;

pub(crate) use failure::{Failure, Outcome};
pub(crate) use stream::{Heard, Stream, Told};

/// How long one answer may take. The longest that a server keeps anybody waiting is less than half of it.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long a server may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// A server, and a key to show it.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    /// The address that others reach it by, as it says itself.
    public_url: Option<String>,
    key: String,
    data: Option<PathBuf>,
}

/// The data directory that is meant when none is named.
pub(crate) fn data_dir(global: &Global) -> PathBuf {
    global.data.clone().unwrap_or_else(server::config::default_data_dir)
}

/// Where a person's key is kept for `--as`.
pub(crate) fn person_key(data: &Path, person: &Name) -> PathBuf {
    data.join("people").join(format!("{person}.key"))
}

/// Where an agent's key is kept by `onboard`.
pub(crate) fn agent_key(data: &Path, agent: &Name) -> PathBuf {
    data.join("agents").join(format!("{agent}.key"))
}

impl Client {
    /// The server that the options, the environment or the data directory name.
    pub(crate) fn find(global: &Global) -> Outcome<Client> {
        let kept = global.acting_as.as_ref().map(|person| kept_key(global, person)).transpose()?;
        let given = kept.or_else(|| global.key.clone());
        if let Some(url) = &global.url {
            let key = given.ok_or_else(|| {
                Failure::Usage("an address was given without a key: add --key, or OSTLER_KEY".to_owned())
            })?;
            return Client::at(url, &key, global.data.clone());
        }
        let data = data_dir(global);
        let context = context(&data)?;
        let of = |field: &str| context[field].as_str().unwrap_or_default().to_owned();
        let key = given.unwrap_or_else(|| of("key"));
        let public_url = Some(of("public_url")).filter(|url| !url.is_empty());
        Ok(Client { public_url, ..Client::at(&of("url"), &key, Some(data))? })
    }

    /// A server by its address and key.
    pub(crate) fn at(url: &str, key: &str, data: Option<PathBuf>) -> Outcome<Client> {
        let url = url.trim_end_matches('/').to_owned();
        Ok(Client { http: http()?, url, public_url: None, key: key.to_owned(), data })
    }

    /// Whether anybody answers there.
    pub(crate) async fn answers(&self) -> bool {
        self.http.get(format!("{}/healthz", self.url)).send().await.is_ok()
    }

    /// What a server that had these files and nothing else would answer to a table of calls.
    pub(crate) fn offline(body: Value) -> Outcome<Value> {
        server::offline::ask(body).map_err(|(status, error)| Failure::refused(status, "/api/policies/ask", &error))
    }

    /// The same server, with another key.
    pub(crate) fn with_key(&self, key: &str) -> Client {
        Client { key: key.to_owned(), ..self.clone() }
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The same, as others reach it.
    pub(crate) fn public_url(&self) -> &str {
        self.public_url.as_deref().unwrap_or(&self.url)
    }

    /// The server's data directory, where it was found by it.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// What is at a path.
    pub(crate) async fn get(&self, path: &str) -> Outcome<Value> {
        self.ask(Method::GET, path, None).await
    }

    /// What comes of posting this.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Outcome<Value> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// What comes of deleting this.
    pub(crate) async fn delete(&self, path: &str) -> Outcome<Value> {
        self.ask(Method::DELETE, path, None).await
    }

    /// What is said and done from now on, for as long as it takes.
    pub(crate) async fn stream(&self, path: &str) -> Outcome<Stream> {
        Ok(Stream::new(self.bytes(path).await?))
    }

    /// What is at a path, as bytes that come for as long as it takes.
    pub(crate) async fn bytes(&self, path: &str) -> Outcome<reqwest::Response> {
        let request = self.request(Method::GET, path)?.timeout(Duration::MAX);
        let response = request.send().await.map_err(|error| self.unreached(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Failure::refused(response.status().as_u16(), path, &read(response).await?))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Outcome<Value> {
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| self.unreached(error))?;
        let status = response.status();
        let value = read(response).await?;
        if status.is_success() { Ok(value) } else { Err(Failure::refused(status.as_u16(), path, &value)) }
    }

    fn request(&self, method: Method, path: &str) -> Outcome<reqwest::RequestBuilder> {
        let url = format!("{}{path}", self.url);
        let url = url.parse::<reqwest::Url>().map_err(|error| {
            Failure::Usage(format!("{} is no address ({error}): write one like http://127.0.0.1:7070", self.url))
        })?;
        Ok(self.http.request(method, url).bearer_auth(&self.key))
    }

    /// Why nobody answered, in one sentence: what the library says in a chain of them.
    fn unreached(&self, error: reqwest::Error) -> Failure {
        let url = &self.url;
        if error.is_builder() {
            return Failure::Usage(format!("{url} is no address: write one like http://127.0.0.1:7070"));
        }
        if error.is_connect() {
            let where_from = self.data.as_ref().map(|dir| format!(" (the last one on {})", dir.display()));
            let why = anyhow::anyhow!(
                "no server answers at {url}{}: start one with `ostler up`, or try `ostler demo`",
                where_from.unwrap_or_default()
            );
            return Failure::Failed(why);
        }
        Failure::Failed(anyhow::Error::new(error.without_url()).context(format!("the server at {url} did not answer")))
    }
}

async fn read(response: reqwest::Response) -> Outcome<Value> {
    let text = response.text().await?;
    Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}

fn http() -> Outcome<reqwest::Client> {
    // The server is the user's own, by its address: a proxy of the environment is not meant.
    let builder = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).connect_timeout(REACHED_WITHIN);
    Ok(builder.tls_backend_rustls().build()?)
}

fn kept_key(global: &Global, person: &Name) -> Outcome<String> {
    let file = person_key(&data_dir(global), person);
    std::fs::read_to_string(&file).map(|key| key.trim().to_owned()).map_err(|_| {
        Failure::Usage(format!(
            "no key of {person} is kept here ({}): `ostler person add {person} --group GROUP` makes the first one, \
             `ostler key add person {person}` another; or use --key",
            file.display()
        ))
    })
}

fn context(data: &Path) -> Outcome<Value> {
    let file = data.join("context.json");
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let dir = data.display();
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => format!("no server was ever started on {dir}"),
            _ => format!("{} cannot be read ({error})", file.display()),
        };
        anyhow::anyhow!(
            "{why}: start one with `ostler up`, try `ostler demo`, or give --data, or OSTLER_URL and OSTLER_KEY"
        )
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::Failed(anyhow::anyhow!(
            "{} is not what a server writes ({error}): start the server again with `ostler up`",
            file.display()
        ))
    })
}
