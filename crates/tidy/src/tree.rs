//! The files of the repository, read once. It leaves out what is built or installed, and judges nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::finding::TidyError;
use crate::scan::{Scanned, scan};

/// What is built or installed: never ours.
const NOT_OURS: [&str; 2] = ["target", "node_modules"];
/// The hidden names that are ours.
const HIDDEN_OURS: [&str; 5] = [".ci", ".cargo", ".npmrc", ".gitignore", ".editorconfig"];

/// One file.
#[derive(Debug, Clone)]
pub struct File {
    /// Relative to the root, with `/`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// The text; none where it is not UTF-8.
    pub text: Option<String>,
    /// The code apart from its comments and literals, where it is Rust.
    pub rust: Option<Scanned>,
}

impl File {
    /// A file of this path and content.
    pub fn new(path: &str, content: &[u8]) -> Self {
        let text = String::from_utf8(content.to_vec()).ok();
        let rust = if path.ends_with(".rs") { text.as_deref().map(scan) } else { None };
        File { path: path.to_owned(), size: content.len() as u64, text, rust }
    }

    /// What follows the last dot of the name; empty for none.
    pub fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The crate it lies in.
    pub fn room(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// Whether a part of the path, the name excepted, is `name`.
    pub fn under(&self, name: &str) -> bool {
        let folders = self.path.rsplit_once('/').map_or("", |(folders, _)| folders);
        folders.split('/').any(|folder| folder == name)
    }

    /// In lines; 0 where it is not text.
    pub fn lines(&self) -> usize {
        self.text.as_deref().map_or(0, |text| text.lines().count())
    }
}

/// All files, sorted by path.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Where they lie.
    pub root: PathBuf,
    /// The files.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads this repository.
    ///
    /// # Errors
    /// A file or directory that cannot be read.
    pub fn read() -> Result<Self, TidyError> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut files = Vec::new();
        walk(&root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { root, files })
    }

    /// The files with Rust in them.
    pub fn rust(&self) -> impl Iterator<Item = (&File, &Scanned)> {
        self.files.iter().filter_map(|file| file.rust.as_ref().map(|scanned| (file, scanned)))
    }
}

fn walk(root: &Path, folder: &str, files: &mut Vec<File>) -> Result<(), TidyError> {
    let unreadable = |path: &str| {
        let path = path.to_owned();
        move |source| TidyError::Unreadable { path, source }
    };
    for entry in fs::read_dir(root.join(folder)).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && !HIDDEN_OURS.contains(&name.as_str());
        if hidden || NOT_OURS.contains(&name.as_str()) || name.ends_with(".log") || name == "__pycache__" {
            continue;
        }
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let kind = entry.file_type().map_err(unreadable(&path))?;
        if kind.is_dir() {
            walk(root, &path, files)?;
        } else if kind.is_file() {
            match fs::read(root.join(&path)) {
                Ok(content) => files.push(File::new(&path, &content)),
                // An editor's or a compiler's own file that was gone before it was read.
                Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(TidyError::Unreadable { path, source }),
            }
        }
    }
    Ok(())
}
