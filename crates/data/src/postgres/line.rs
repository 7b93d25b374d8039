//! One connection to the server, and what every connection is told first. It must not know what is asked over it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Socket, Statement};

use crate::postgres::StoreUrl;
use crate::postgres::fault::{Fault, of_connect};
use crate::postgres::tls::Tls;

/// What is bound to a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How long a connection may take to come about unless its URL says otherwise.
const CONNECT: Duration = Duration::from_secs(5);

/// How long what was sent may stay unacknowledged by the other machine before the line counts as dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// How many statements a connection keeps prepared.
const PREPARED: usize = 128;

/// What every connection is told. Every question has its index, and plans that were made while a table was small must
/// use it too. Compilation of queries costs more than any of ours; a lock that is not had in time
/// means that the other one is stuck, and a transaction that stands idle would hold its locks for ever. A commit that
/// was answered is on the disk: a server that is set to wait for more than its own disk keeps doing so.
const SETTINGS: &str = "SET search_path = ostler; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET client_min_messages = warning; SET jit = off; \
    SET default_transaction_isolation = 'read committed'; SET lock_timeout = 3000; \
    SET idle_in_transaction_session_timeout = 2500; SET tcp_user_timeout = 5000; \
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Commits of one lane: the same few large statements again and again, whose plan never depends on what is bound.
    Commits,
    /// Anything else.
    Anything,
    /// All rows, in or out: it takes as long as it takes.
    Transfer,
}

impl Purpose {
    fn settings(self) -> &'static str {
        match self {
            Purpose::Commits => "SET plan_cache_mode = force_generic_plan; SET statement_timeout = 10000",
            Purpose::Anything => "SET statement_timeout = 30000",
            Purpose::Transfer => "SET idle_in_transaction_session_timeout = 0; SET enable_seqscan = on",
        }
    }

    /// How long to wait for an answer: the server gives up a little earlier and says so.
    pub(super) fn patience(self) -> Duration {
        match self {
            Purpose::Commits => Duration::from_secs(12),
            Purpose::Anything => Duration::from_secs(35),
            Purpose::Transfer => Duration::MAX,
        }
    }
}

/// One connection, with the statements that were prepared on it.
pub(super) struct Line {
    client: Client,
    prepared: Mutex<HashMap<String, Statement>>,
}

async fn open<T>(config: &Config, tls: T) -> Result<Client, tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    // Ends by itself once the client is dropped or the line is dead; whoever waits for an answer then hears of it.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to PostgreSQL ended");
        }
    });
    Ok(client)
}

impl Line {
    pub(super) async fn connect(url: &StoreUrl, purpose: Purpose) -> Result<Line, Fault> {
        let place = url.to_string();
        let mut config = url.config().clone();
        config.application_name("ostler").tcp_user_timeout(UNACKNOWLEDGED);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        let unsent = |error: &_| Fault::Unsent(of_connect(error, &place));
        let client = match url.proof() {
            None => open(&config, NoTls).await,
            Some(proof) => open(&config, Tls::new(proof, &place).map_err(Fault::Unsent)?).await,
        };
        let client = client.map_err(|error| unsent(&error))?;
        let settings = format!("{SETTINGS}; {}", purpose.settings());
        client.batch_execute(&settings).await.map_err(|error| unsent(&error))?;
        Ok(Line { client, prepared: Mutex::default() })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The statement, prepared once per connection.
    pub(super) async fn statement(&self, sql: &str) -> Result<Statement, Fault> {
        let known = self.lock().get(sql).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let statement = self.client.prepare(sql).await?;
        let mut prepared = self.lock();
        if prepared.len() >= PREPARED {
            prepared.clear();
        }
        prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query(&statement, params).await?)
    }

    pub(super) async fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.execute(&statement, params).await?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Statement>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
