//! `kind: McpServer`: an upstream of the gateway, how it is reached and which secrets it is given.

use serde_json::{Value, json};

use super::diagnostic::Finding;
use super::field::{Field, Mapping, Reading, Shape, Writer};
use super::node::{Node, shown};
use super::places::Places;
use super::resource::{Resource, Spec};
use super::shape::{Millis, Text, text};
use crate::control::Kind;

/// A valid upstream.
pub type McpServer = Resource<McpServerSpec>;

/// How long a call may take, where the descriptor does not tell: 30 seconds.
pub const DEFAULT_TIMEOUT_MS: i64 = 30_000;

/// How an upstream is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServerSpec {
    /// A program of ours, or an address.
    pub transport: Transport,
    /// The names of the secrets that it is given; never their values.
    pub secrets: Vec<String>,
    /// How long a call may take, in milliseconds.
    pub timeout_ms: i64,
    /// How many calls it is sent at once, and how many more may wait.
    pub limits: Places,
}

/// Where an upstream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A program that is started here and spoken to over its standard input and output.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// An MCP endpoint over streamable HTTP.
    Http {
        /// Its address.
        url: String,
    },
}

/// The name of a secret: a letter or `_`, then up to 127 letters, digits and `_`.
pub(super) struct Secret(pub(super) String);

impl Shape for Secret {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let name = text(node, "the name of a secret", reading)?;
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if begins && name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Some(Secret(name.to_owned()));
        }
        // What was written may be the secret itself: it is not shown back.
        let finding = Finding::new(&node.at, "this is not the name of a secret");
        reading.wrong(finding.help("write its name, such as MAIL_TOKEN, and never its value"));
        None
    }

    fn write(&self) -> Value {
        self.0.as_str().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$"})
    }
}

/// An `http` or `https` address without user, password or fragment.
pub(super) struct Url(pub(super) String);

impl Shape for Url {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let written = text(node, "a URL", reading)?;
        let rest = written.strip_prefix("https://").or_else(|| written.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
        let wrong = match host {
            None | Some("") => "begin it with https:// or http:// and a host",
            Some(host) if host.contains('@') => "a user or password does not belong here: name a secret",
            Some(_) if written.contains('#') => "leave out what follows `#`",
            Some(_) if written.len() > 2000 => "it has more than 2000 bytes",
            Some(_) if written.chars().any(|c| c.is_whitespace() || c.is_control()) => "it must not hold spaces",
            Some(_) => return Some(Url(written.to_owned())),
        };
        let safe = if written.contains('@') { "this".to_owned() } else { format!("`{}`", shown(written)) };
        reading.wrong(Finding::new(&node.at, format!("{safe} is not a URL that can be used")).help(wrong));
        None
    }

    fn write(&self) -> Value {
        self.0.as_str().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^https?://[^/?#@\\s]+([/?][^#\\s]*)?$", "maxLength": 2000})
    }
}

/// One argument; it may be empty.
struct Argument(String);

impl Shape for Argument {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let written = text(node, "an argument", reading)?;
        if written.len() <= 4000 && !written.contains('\0') {
            return Some(Argument(written.to_owned()));
        }
        reading.expected(node, "an argument of at most 4000 bytes")
    }

    fn write(&self) -> Value {
        self.0.as_str().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "maxLength": 4000})
    }
}

struct Stdio {
    command: String,
    args: Vec<String>,
}

const COMMAND: Field<Text<1000>> = Field::required("command", "The program, on the PATH or with its own path.");
const ARGS: Field<Vec<Argument>> = Field::new("args", "Its arguments. No shell reads them.");
const STDIO_FIELDS: Mapping = Mapping { rows: &[COMMAND.row(), ARGS.row()], not_yet: &[] };

impl Shape for Stdio {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = STDIO_FIELDS.open(node, reading)?;
        let command = fields.required(&COMMAND, reading);
        let args = fields.optional(&ARGS, reading);
        let args = args?.unwrap_or_default().into_iter().map(|Argument(text)| text).collect();
        Some(Stdio { command: command?.0, args })
    }

    fn write(&self) -> Value {
        let args: Vec<_> = self.args.iter().cloned().map(Argument).collect();
        Writer::default().put(&COMMAND, &Text(self.command.clone())).put(&ARGS, &args).done()
    }

    fn schema() -> Value {
        STDIO_FIELDS.schema()
    }
}

struct Http(String);

const URL: Field<Url> = Field::required("url", "Its address, such as https://mail.example/mcp.");
const HTTP_FIELDS: Mapping = Mapping { rows: &[URL.row()], not_yet: &[] };

impl Shape for Http {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        HTTP_FIELDS.open(node, reading)?.required(&URL, reading).map(|Url(url)| Http(url))
    }

    fn write(&self) -> Value {
        Writer::default().put(&URL, &Url(self.0.clone())).done()
    }

    fn schema() -> Value {
        HTTP_FIELDS.schema()
    }
}

const STDIO: Field<Stdio> = Field::new("stdio", "A program that is started here.");
const HTTP: Field<Http> = Field::new("http", "A server that is reached over HTTP.");
const SECRETS: Field<Vec<Secret>> = Field::new("secrets", "The names of the secrets that it is given.");
const TIMEOUT: Field<Millis> = Field::new("timeout", "How long a call may take. Absent: 30s.");
const LIMITS: Field<Places> = Field::new("limits", "What bounds calls to it.");
const FIELDS: Mapping =
    Mapping { rows: &[STDIO.row(), HTTP.row(), SECRETS.row(), TIMEOUT.row(), LIMITS.row()], not_yet: &[] };

impl Shape for McpServerSpec {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let stdio = fields.optional(&STDIO, reading);
        let http = fields.optional(&HTTP, reading);
        let secrets = fields.optional(&SECRETS, reading);
        let timeout = fields.optional(&TIMEOUT, reading);
        let limits = fields.optional(&LIMITS, reading);
        let transport = match (stdio?, http?) {
            (Some(Stdio { command, args }), None) => Some(Transport::Stdio { command, args }),
            (None, Some(Http(url))) => Some(Transport::Http { url }),
            (None, None) | (Some(_), Some(_)) => {
                let finding = Finding::new(&node.at, "expected either `stdio` or `http`");
                reading.wrong(finding.help("such as stdio: {command: PROGRAM, args: [A, B]} or http: {url: URL}"));
                None
            }
        };
        let secrets = secrets?.unwrap_or_default().into_iter().map(|Secret(name)| name).collect();
        let timeout_ms = timeout?.map_or(DEFAULT_TIMEOUT_MS, |Millis(ms)| ms);
        Some(McpServerSpec { transport: transport?, secrets, timeout_ms, limits: limits?.unwrap_or_default() })
    }

    fn write(&self) -> Value {
        let secrets: Vec<_> = self.secrets.iter().cloned().map(Secret).collect();
        let (stdio, http) = match self.transport.clone() {
            Transport::Stdio { command, args } => (Some(Stdio { command, args }), None),
            Transport::Http { url } => (None, Some(Http(url))),
        };
        Writer::default()
            .put_some(&STDIO, stdio.as_ref())
            .put_some(&HTTP, http.as_ref())
            .put_some(&SECRETS, (!secrets.is_empty()).then_some(&secrets))
            .put(&TIMEOUT, &Millis(self.timeout_ms))
            .put_some(&LIMITS, (self.limits != Places::default()).then_some(&self.limits))
            .done()
    }

    fn schema() -> Value {
        let mut schema = FIELDS.schema();
        schema["oneOf"] = json!([{"required": ["stdio"]}, {"required": ["http"]}]);
        schema
    }
}

impl Spec for McpServerSpec {
    const KIND: Kind = Kind::McpServer;
}
