//! The mailbox of drafts: one JSON line each in `drafts.jsonl`, on disk before anybody is told.
//!
//! `drafts.seq` holds the number given last and is the lock of the folder, so that a server left over from a killed
//! runtime and its successor cannot write over each other, and an id is never given twice, deletions included.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use rmcp::schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tool::ToolError;

pub(super) const DRAFTS_FILE: &str = "drafts.jsonl";
const SEQUENCE_FILE: &str = "drafts.seq";
const REWRITE_FILE: &str = "drafts.jsonl.new";

/// One stored draft, as it stands in the file.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) to: String,
    pub(super) subject: String,
    /// The amount the mail asks to be paid, in dollars.
    pub(super) amount_usd: f64,
    pub(super) invoice_id: Option<String>,
    /// The idempotency key the caller sent. It is stored and not acted on.
    pub(super) key: Option<String>,
    pub(super) body: String,
}

/// The folder with the drafts.
#[derive(Debug)]
pub(super) struct Drafts {
    folder: PathBuf,
}

impl Drafts {
    pub(super) fn open(folder: &Path) -> Self {
        Drafts { folder: folder.to_path_buf() }
    }

    /// Stores what `make` makes of a fresh id. When this returns, the line is on disk.
    pub(super) fn append(&self, make: impl FnOnce(String) -> Draft) -> Result<Draft, ToolError> {
        let mut lock = self.lock()?;
        let draft = make(format!("draft-{:04}", next_number(&mut lock).map_err(sequence_error)?));
        let mut line = serde_json::to_vec(&draft).map_err(drafts_error)?;
        line.push(b'\n');
        self.write_line(&line).map_err(drafts_error)?;
        Ok(draft)
    }

    /// Every draft, oldest first.
    pub(super) fn read(&self) -> Result<Vec<Draft>, ToolError> {
        let text = match fs::read_to_string(self.folder.join(DRAFTS_FILE)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(drafts_error)?,
        };
        // A line without its end was cut off by a crash, and nobody was told of it.
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(parse_line).collect()
    }

    /// Removes one draft and returns it; `None` if there is none of this id.
    pub(super) fn delete(&self, id: &str) -> Result<Option<Draft>, ToolError> {
        let _lock = self.lock()?;
        let mut drafts = self.read()?;
        let Some(position) = drafts.iter().position(|draft| draft.id == id) else { return Ok(None) };
        let removed = drafts.remove(position);
        self.replace(&drafts).map_err(drafts_error)?;
        Ok(Some(removed))
    }

    /// Held until dropped; other threads and processes wait.
    fn lock(&self) -> Result<File, ToolError> {
        let path = self.folder.join(SEQUENCE_FILE);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        open.and_then(|file| file.lock().map(|()| file)).map_err(sequence_error)
    }

    fn write_line(&self, line: &[u8]) -> std::io::Result<()> {
        let path = self.folder.join(DRAFTS_FILE);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut before = Vec::new();
        file.read_to_end(&mut before)?;
        let whole = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < before.len() {
            file.set_len(whole as u64)?;
        }
        file.write_all(line)?;
        file.sync_all()
    }

    fn replace(&self, drafts: &[Draft]) -> std::io::Result<()> {
        let path = self.folder.join(REWRITE_FILE);
        let mut file = File::create(&path)?;
        for draft in drafts {
            serde_json::to_writer(&mut file, draft)?;
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        fs::rename(path, self.folder.join(DRAFTS_FILE))
    }
}

/// Counts on in the locked file. It is on disk before the draft is: a crash skips a number and never repeats one.
fn next_number(file: &mut File) -> std::io::Result<u64> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let last: u64 = if text.is_empty() { 0 } else { text.trim().parse().map_err(std::io::Error::other)? };
    file.rewind()?;
    writeln!(file, "{:020}", last + 1)?;
    file.sync_all()?;
    Ok(last + 1)
}

fn parse_line(line: &str) -> Result<Draft, ToolError> {
    serde_json::from_str(line).map_err(|error| drafts_error(format!("`{}` is not a draft: {error}", line.trim_end())))
}

fn drafts_error(reason: impl ToString) -> ToolError {
    ToolError::data(DRAFTS_FILE, reason)
}

fn sequence_error(reason: impl ToString) -> ToolError {
    ToolError::data(SEQUENCE_FILE, reason)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{DRAFTS_FILE, Draft, Drafts};

    fn draft(id: String) -> Draft {
        let text = |text: &str| text.to_owned();
        Draft {
            id,
            to: text("a@b.example"),
            subject: text("s"),
            amount_usd: 1.5,
            invoice_id: None,
            key: None,
            body: text("b\nc"),
        }
    }

    #[test]
    fn each_draft_is_one_line_with_an_id_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let drafts = Drafts::open(dir.path());
        let first = drafts.append(draft).unwrap();
        let second = drafts.append(draft).unwrap();
        assert_ne!(first.id, second.id);
        assert_eq!(drafts.read().unwrap(), [first, second]);
        assert_eq!(fs::read_to_string(dir.path().join(DRAFTS_FILE)).unwrap().lines().count(), 2);
    }

    #[test]
    fn two_servers_on_one_folder_never_give_the_same_id() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let drafts = Drafts::open(dir.path());
                scope.spawn(move || (0..5).for_each(|_| drop(drafts.append(draft).unwrap())));
            }
        });
        let mut ids: Vec<String> = Drafts::open(dir.path()).read().unwrap().into_iter().map(|draft| draft.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 20);
    }

    #[test]
    fn a_deleted_draft_is_gone_and_its_id_is_not_given_again() {
        let dir = tempfile::tempdir().unwrap();
        let drafts = Drafts::open(dir.path());
        let kept = drafts.append(draft).unwrap();
        let deleted = drafts.append(draft).unwrap();
        assert_eq!(drafts.delete(&deleted.id).unwrap(), Some(deleted.clone()));
        assert_eq!(drafts.delete(&deleted.id).unwrap(), None);
        assert_eq!(drafts.read().unwrap(), [kept]);
        assert_ne!(drafts.append(draft).unwrap().id, deleted.id);
    }

    #[test]
    fn a_line_cut_off_by_a_crash_is_ignored_and_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let drafts = Drafts::open(dir.path());
        let whole = drafts.append(draft).unwrap();
        let path = dir.path().join(DRAFTS_FILE);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"id\":\"draft-00").unwrap();
        assert_eq!(drafts.read().unwrap(), std::slice::from_ref(&whole));
        let next = drafts.append(draft).unwrap();
        assert_eq!(drafts.read().unwrap(), [whole, next]);
    }

    #[test]
    fn a_damaged_file_is_reported_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(DRAFTS_FILE), "not json\n").unwrap();
        let error = Drafts::open(dir.path()).read().unwrap_err();
        assert!(error.to_string().starts_with("drafts.jsonl: `not json` is not a draft"), "{error}");
    }
}
