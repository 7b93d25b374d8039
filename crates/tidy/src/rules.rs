//! All rules, one after the other.

use std::collections::BTreeMap;

use crate::arrows::Lists;
use crate::exceptions::{EXCEPTIONS, unexcused};
use crate::finding::Finding;
use crate::tree::Tree;
use crate::{arrows, names, rooms, sizes, weight, words};

/// Everything that breaks a rule and is not excused.
pub fn findings(tree: &Tree, listed: &BTreeMap<String, Lists>) -> Vec<Finding> {
    let all = [
        arrows::check(listed),
        sizes::check(tree),
        names::check(tree),
        words::check(tree),
        rooms::check(tree),
        weight::check(tree),
    ];
    unexcused(all.concat(), &EXCEPTIONS)
}
