//! The house rules, asked of this tree. `cargo test -p tidy -- --nocapture` shows the figures.

use tidy::exceptions::{EXCEPTIONS, unexcused};
use tidy::{Finding, Tree, arrows, names, rooms, sizes, weight, words};

fn tree() -> Tree {
    Tree::read().expect("the tree can be read")
}

fn clean(rule: &str, findings: Vec<Finding>) {
    let excused: Vec<_> = EXCEPTIONS.into_iter().filter(|exception| exception.rule == rule).collect();
    let left = unexcused(findings, &excused);
    let lines: Vec<String> = left.iter().map(ToString::to_string).collect();
    assert!(left.is_empty(), "{} findings:\n{}", left.len(), lines.join("\n"));
}

#[test]
fn every_arrow_points_one_way() {
    clean("arrows", arrows::check(&arrows::listed(&tree()).unwrap()));
}

#[test]
fn files_and_functions_fit_a_screen_or_a_few() {
    clean("sizes", sizes::check(&tree()));
}

#[test]
fn every_file_says_what_it_is_for() {
    clean("names", names::check(&tree()));
}

#[test]
fn nobody_says_what_has_no_place_here() {
    clean("words", words::check(&tree()));
}

#[test]
fn time_sql_and_status_codes_stay_in_their_rooms() {
    clean("rooms", rooms::check(&tree()));
}

#[test]
fn a_clone_stays_light() {
    clean("weight", weight::check(&tree()));
}

#[test]
fn the_figures_are_shown() {
    let tree = tree();
    let report = tidy::report(&tree, &arrows::listed(&tree).unwrap());
    println!("{report}");
    assert!(report.starts_with("files "));
}
