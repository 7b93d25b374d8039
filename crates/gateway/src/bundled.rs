//! The demo's own MCP servers, started by the hidden subcommand `ostler mcp-demo erp|mail --files DIR`, and the data
//! they serve. They stand for systems that belong to somebody else: what they do is plain and unsafe to repeat, so
//! that the demo shows what Ostler adds. They must not know the gateway, approvals, budgets or sessions, and read no
//! clock.
//!
//! ```text
//! stdin ──▶ EndOfInput ──▶ rmcp ──▶ server ──▶ erp  ──▶ books   (vendors.csv, invoices.csv, ledger.csv: read only)
//! stdout ◀───────────────────────────┘   └──▶ mail ──▶ drafts  (drafts.jsonl: written)
//! ```

mod books;
mod day;
mod drafts;
mod erp;
mod input;
mod mail;
mod server;
mod tool;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;

use server::{DemoServer, Desk};

/// The key of a request's `_meta` under which a caller may put an idempotency key.
pub const IDEMPOTENCY_META_KEY: &str = "ostler/idempotencyKey";

/// The demo's data as it is in the repository.
const DEMO_FILES: [(&str, &str); 3] = [
    (books::VENDORS_FILE, include_str!("../../../examples/demo/data/vendors.csv")),
    (books::INVOICES_FILE, include_str!("../../../examples/demo/data/invoices.csv")),
    (books::LEDGER_FILE, include_str!("../../../examples/demo/data/ledger.csv")),
];

/// Why a demo server could not be started or its data not be written.
#[derive(Debug, thiserror::Error)]
pub enum BundledError {
    /// There is no such server.
    #[error("there is no demo server `{0}`: say `erp` or `mail`")]
    UnknownServer(String),
    /// The folder to work in is not there.
    #[error("{} is not a folder: pass the demo's data folder with --files", .0.display())]
    NoFolder(PathBuf),
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The client did not open the connection as MCP asks.
    #[error("the MCP connection could not be opened: {0}")]
    Handshake(#[from] Box<ServerInitializeError>),
    /// The serving task ended abnormally.
    #[error("the MCP server stopped abnormally: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// Serves `erp` or `mail` on stdin and stdout until stdin closes. `delay` is how long `draft_email` keeps its answer
/// once the draft is on disk: the demo kills the runtime in that gap.
///
/// # Errors
/// When there is no such server, `data` is not a folder, or the client does not speak MCP.
pub async fn serve(which: &str, data: &Path, delay: Duration) -> Result<(), BundledError> {
    if !data.is_dir() {
        return Err(BundledError::NoFolder(data.to_path_buf()));
    }
    let desk = Desk::open(which, data).ok_or_else(|| BundledError::UnknownServer(which.to_owned()))?;
    let (reader, writer) = rmcp::transport::stdio_pipes();
    let (reader, open) = input::watch_end(reader);
    match DemoServer::new(desk, delay, open).serve((reader, writer)).await {
        Ok(running) => running.waiting().await.map(|_| ()).map_err(BundledError::from),
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(BundledError::Handshake(Box::new(error))),
    }
}

/// Writes the demo's vendors, invoices and ledger into `dir`, which is created if need be. Files of the same names
/// are overwritten, others are left alone.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write_demo_data(dir: &Path) -> Result<(), BundledError> {
    std::fs::create_dir_all(dir).map_err(|source| BundledError::Write { path: dir.to_path_buf(), source })?;
    for (name, text) in DEMO_FILES {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|source| BundledError::Write { path, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{BundledError, DEMO_FILES, serve, write_demo_data};

    #[test]
    fn demo_data_is_written_into_a_new_folder_and_over_older_files() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a/b");
        write_demo_data(&target).unwrap();
        std::fs::write(target.join("ledger.csv"), "stale").unwrap();
        std::fs::write(target.join("drafts.jsonl"), "kept").unwrap();
        write_demo_data(&target).unwrap();
        for (name, text) in DEMO_FILES {
            assert_eq!(std::fs::read_to_string(target.join(name)).unwrap(), text, "{name}");
        }
        assert_eq!(std::fs::read_to_string(target.join("drafts.jsonl")).unwrap(), "kept");
    }

    #[test]
    fn demo_data_that_cannot_be_written_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("taken");
        std::fs::write(&file, "").unwrap();
        let error = write_demo_data(&file).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
    }

    #[tokio::test]
    async fn an_unknown_server_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let error = serve("crm", dir.path(), Duration::ZERO).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no demo server `crm`: say `erp` or `mail`");
    }

    #[tokio::test]
    async fn a_missing_folder_is_refused_before_anything_is_served() {
        let error = serve("erp", Path::new("/nonexistent/demo"), Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, BundledError::NoFolder(_)), "{error}");
    }
}
