//! YAML text to nodes with places. Bounded: a file cannot grow by aliases, nest without end, or be endless. What must
//! not be known here: what a descriptor is.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span};

use super::diagnostic::{Finding, MAX_FINDINGS};
use super::node::{Content, Entry, Node, shown};

/// The longest file, in bytes.
pub(super) const MAX_FILE: usize = 512 * 1024;
/// The most nodes in a file, with aliases written out.
const MAX_NODES: usize = 50_000;
/// The deepest nesting.
const MAX_DEPTH: usize = 32;

/// The documents of a file, and what is wrong with those that are missing.
pub(super) fn documents(text: &str) -> (Vec<Node>, Vec<Finding>) {
    if text.len() > MAX_FILE {
        let message = format!("the file has {} bytes; at most {MAX_FILE} are read", text.len());
        return (Vec::new(), vec![Finding::new(&(0..0), message).help("split it")]);
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::new(text);
    while let Some(next) = parser.next_event() {
        let wrong = match next {
            Ok((event, span)) => builder.event(event, &span).err(),
            Err(error) => Some(scan_finding(text, &error)),
        };
        let Some(finding) = wrong else { continue };
        builder.abandon(finding);
        if builder.full() || !parser.proceed_next_document().unwrap_or(false) {
            break;
        }
    }
    (builder.documents, builder.findings)
}

struct Builder<'t> {
    text: &'t str,
    documents: Vec<Node>,
    findings: Vec<Finding>,
    open: Vec<Open>,
    /// What anchors stand for, in the document being read.
    anchors: BTreeMap<usize, Node>,
    /// Where the document being read begins.
    start: usize,
    /// Its value, once complete.
    root: Option<Node>,
    nodes: usize,
}

/// A collection whose end has not come yet.
struct Open {
    at: Range<usize>,
    anchor: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Node>),
    Map(MapParts),
}

#[derive(Default)]
struct MapParts {
    entries: Vec<Entry>,
    /// The key whose value comes next.
    pending: Option<(String, Range<usize>)>,
    /// The keys so far, and where each was first written.
    keys: BTreeMap<String, usize>,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        let (documents, findings, open, anchors) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
        Builder { text, documents, findings, open, anchors, start: 0, root: None, nodes: 0 }
    }

    fn full(&self) -> bool {
        self.nodes > MAX_NODES
    }

    fn note(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// Gives up on the document being read.
    fn abandon(&mut self, finding: Finding) {
        self.note(finding);
        self.open.clear();
        self.anchors.clear();
        self.root = None;
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Finding> {
        let at = self.place(span);
        if event.tag().is_some() {
            let start = span.tag_start().and_then(|mark| mark.byte_offset()).unwrap_or(at.start);
            let at = start..start.max(at.start);
            return Err(Finding::new(&at, "a tag (`!…`) is not used in a descriptor").help("write the value alone"));
        }
        match event {
            Event::StreamStart | Event::StreamEnd | Event::Anchor(..) | Event::Comment(..) => Ok(()),
            Event::DocumentStart(..) => {
                self.start = at.start;
                Ok(())
            }
            Event::DocumentEnd => self.finish_document(),
            Event::Scalar(said, style, anchor, _) => {
                let content = match style {
                    ScalarStyle::Plain => Content::Plain(said.into_owned()),
                    ScalarStyle::SingleQuoted
                    | ScalarStyle::DoubleQuoted
                    | ScalarStyle::Literal
                    | ScalarStyle::Folded => Content::Quoted(said.into_owned()),
                };
                self.place_node(Node::new(at, content), anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(at, anchor, Parts::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.begin(at, anchor, Parts::Map(MapParts::default())),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) if self.nodes + node.size <= MAX_NODES => {
                    // `place_node` counts one; the rest of what is copied counts too.
                    let node = node.clone();
                    self.nodes += node.size - 1;
                    self.place_node(node, 0)
                }
                Some(_) => Err(too_many(&at)),
                None => Err(Finding::new(&at, "this alias stands inside what it refers to")),
            },
            Event::UnresolvedAlias(name) => {
                Err(Finding::new(&at, format!("there is no anchor `&{}` before this alias", shown(&name))))
            }
            _ => Err(Finding::new(&at, "this is YAML that is not used in a descriptor")),
        }
    }

    /// The bytes of a span, never beyond the first line of what it covers.
    fn place(&self, span: &Span) -> Range<usize> {
        let range = span.byte_range().unwrap_or(0..0);
        let start = range.start.min(self.text.len());
        let covered = self.text.get(start..range.end.min(self.text.len())).unwrap_or("");
        start..start + covered.lines().next().unwrap_or("").trim_end().len()
    }

    fn begin(&mut self, at: Range<usize>, anchor: usize, parts: Parts) -> Result<(), Finding> {
        if self.open.len() == MAX_DEPTH {
            return Err(Finding::new(&at, format!("this nests deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { at, anchor, parts });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Finding> {
        let Some(Open { at, anchor, parts }) = self.open.pop() else { return Ok(()) };
        let content = match parts {
            Parts::List(items) => Content::List(items),
            Parts::Map(map) => Content::Map(map.entries),
        };
        self.place_node(Node::new(at, content), anchor)
    }

    /// Puts a complete node where it belongs: into the innermost open collection, or at the document's root.
    fn place_node(&mut self, node: Node, anchor: usize) -> Result<(), Finding> {
        self.nodes += 1;
        if self.full() {
            return Err(too_many(&node.at));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => self.root = Some(node),
            Some(Parts::List(items)) => items.push(node),
            Some(Parts::Map(map)) => match map.pending.take() {
                Some((key, key_at)) => map.entries.push(Entry { key, key_at, value: node }),
                None => return self.place_key(node),
            },
        }
        Ok(())
    }

    /// Takes a node as the next key of the innermost mapping.
    fn place_key(&mut self, node: Node) -> Result<(), Finding> {
        let Some(Open { parts: Parts::Map(map), .. }) = self.open.last_mut() else { return Ok(()) };
        let Some(key) = node.scalar().map(str::to_owned) else {
            return Err(Finding::new(&node.at, "a key must be a word, not a list or a mapping"));
        };
        map.pending = Some((key.clone(), node.at.clone()));
        let twice = map.keys.get(&key).copied();
        map.keys.entry(key.clone()).or_insert(node.at.start);
        if let Some(first) = twice.filter(|_| self.findings.len() < MAX_FINDINGS) {
            let line = self.text[..first].matches('\n').count() + 1;
            let message = format!("`{}` is written twice; first on line {line}", shown(&key));
            self.note(Finding::new(&node.at, message).help("keep one of them"));
        }
        Ok(())
    }

    fn finish_document(&mut self) -> Result<(), Finding> {
        self.anchors.clear();
        match self.root.take() {
            Some(node) if !node.is_nothing() => {
                self.documents.push(node);
                Ok(())
            }
            Some(_) | None => {
                let at = self.start..self.start;
                self.note(Finding::new(&at, "this document is empty").help("remove it, or its `---`"));
                Ok(())
            }
        }
    }
}

fn too_many(at: &Range<usize>) -> Finding {
    Finding::new(at, format!("the file has more than {MAX_NODES} values, with aliases written out"))
}

/// The parser's own complaint, with the tab named where a tab is the reason.
fn scan_finding(text: &str, error: &ScanError) -> Finding {
    let offset = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    let line_start = text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |i| i + 1);
    let line = text.get(line_start..).unwrap_or("").lines().next().unwrap_or("");
    let indentation = &line[..line.len() - line.trim_start().len()];
    if let Some(tab) = indentation.find('\t') {
        let at = line_start + tab..line_start + tab + 1;
        return Finding::new(&at, "a tab cannot indent YAML").help("use spaces");
    }
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return Finding::new(&(offset..offset), format!("this nests deeper than {MAX_DEPTH} levels"));
    }
    let length = usize::from(text.get(offset..).is_some_and(|rest| !rest.is_empty()));
    Finding::new(&(offset..offset + length), format!("this is not YAML: {}", error.info()))
        .help("check the indentation, the quotes and the `:` just before this place")
}
