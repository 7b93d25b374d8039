//! A text that may lie in a file beside the descriptor: the text itself, `{text}`, or `{file}`, resolved when it is
//! read, so that the text is part of the revision.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Text, text};
use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Field, Mapping, Reading, Shape};
use crate::descriptor::node::{Content, Node, shown};

/// The longest such text, in characters.
const MAX: usize = 100_000;

/// The text, wherever it was written.
pub(in crate::descriptor) struct Written(pub(in crate::descriptor) Arc<str>);

/// A path beside the descriptor.
struct File(String);

const TEXT: Field<Text<MAX>> = Field::new("text", "The text itself.");
const FILE: Field<File> = Field::new("file", "A text file, as a path relative to this file; read when applied.");
const FIELDS: Mapping = Mapping { rows: &[TEXT.row(), FILE.row()], not_yet: &[] };

impl Shape for File {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let path = text(node, "a path", reading)?;
        if is_beside(path) {
            return Some(File(path.to_owned()));
        }
        let finding = Finding::new(&node.at, format!("`{}` does not lie beside this file", shown(path)));
        reading.wrong(finding.help("write a relative path with `/` and without `..`, such as prompts/agent.md"));
        None
    }

    fn write(&self) -> Value {
        self.0.as_str().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[^/\\\\:]", "maxLength": 500, "not": {"pattern": "(^|/)\\.\\.?(/|$)|[\\\\:]|//|/$"}})
    }
}

/// Whether a path stays within the descriptor's own folder. A descriptor may come from a stranger: it must not be able
/// to name any file of the person who applies it.
fn is_beside(path: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    (1..=500).contains(&path.len())
        && path.split('/').all(plain)
        && !path.contains(['\\', ':'])
        && !path.chars().any(char::is_control)
}

/// The file that a field of a spec refers to, where it is one that may be read.
pub(in crate::descriptor) fn file_of<'n>(spec: &'n Node, field: &str) -> Option<&'n str> {
    spec.get(field)?.get("file")?.scalar().filter(|path| is_beside(path))
}

impl Shape for Written {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        if !matches!(node.content, Content::Map(_)) {
            return Text::<MAX>::read(node, reading).map(|Text(text)| Written(text.into()));
        }
        let fields = FIELDS.open(node, reading)?;
        let text = fields.optional(&TEXT, reading);
        let file = fields.optional(&FILE, reading);
        match (text?, file?) {
            (Some(Text(text)), None) => Some(Written(text.into())),
            (None, Some(File(path))) => from_file(&path, node, reading),
            (None, None) | (Some(_), Some(_)) => {
                reading.wrong(Finding::new(&node.at, "expected either `text` or `file`").help("say one of them"));
                None
            }
        }
    }

    fn write(&self) -> Value {
        (&*self.0).into()
    }

    fn schema() -> Value {
        let mut long = FIELDS.schema();
        long["minProperties"] = 1.into();
        long["maxProperties"] = 1.into();
        json!({"oneOf": [Text::<MAX>::schema(), long]})
    }
}

fn from_file(path: &str, node: &Node, reading: &mut Reading<'_>) -> Option<Written> {
    let at = node.get("file").map_or(&node.at, |file| &file.at).clone();
    let finding = match (reading.attachments)(path) {
        None => Finding::new(&at, format!("the file `{}` was not found", shown(path)))
            .help("it is looked for beside this file"),
        Some(text) if text.trim().is_empty() => Finding::new(&at, format!("the file `{}` is empty", shown(path))),
        Some(text) if text.chars().count() > MAX => {
            Finding::new(&at, format!("the file `{}` has more than {MAX} characters", shown(path)))
        }
        Some(text) => return Some(Written(text.into())),
    };
    reading.wrong(finding);
    None
}
