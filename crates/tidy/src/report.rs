//! The figures of the house, as a table. It judges nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::arrows::{Lists, MAY};
use crate::sizes::{Lengths, lengths};
use crate::tree::Tree;
use crate::weight::fixtures;

/// The table: sizes first, then a line per crate, bottom-up.
pub fn report(tree: &Tree, listed: &BTreeMap<String, Lists>) -> String {
    let Lengths { files, lines, median, ninetieth, longest } = lengths(tree);
    let mut out = format!(
        "files {files} · lines {lines} · median {median} · ninth in ten {ninetieth} · longest {} {} · fixtures {} kB\n\n",
        longest.1,
        longest.0,
        fixtures(tree) / 1000,
    );
    out.push_str("crate       files   lines  arrows to\n");
    for (room, _) in MAY {
        let own: Vec<usize> =
            tree.rust().filter(|(file, _)| file.room() == Some(room)).map(|(f, _)| f.lines()).collect();
        let arrows = listed.get(room).map(|lists| lists.rooms.join(", ")).unwrap_or_default();
        let arrows = if arrows.is_empty() { "nothing".to_owned() } else { arrows };
        let (count, sum) = (own.len(), own.iter().sum::<usize>());
        writeln!(out, "{room:<11} {count:>5} {sum:>7}  {arrows}").expect("a string takes what is written");
    }
    out
}
