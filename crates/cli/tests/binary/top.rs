//! `top`: once, where nobody watches.

use crate::stage::Stage;

#[test]
fn what_runs_is_shown_once_where_nobody_watches() {
    let stage = Stage::demo();
    stage.run(&["run", "note-keeper", "Calculate 6 * 7"]).with_code(0);
    let shown = stage.run(&["top"]).with_code(0);
    assert!(!shown.out.contains('\x1b'), "{shown:?}");
    let line = shown.out.lines().find(|line| line.contains("note-keeper")).unwrap();
    assert!(line.contains("/200"), "calls beside their cap: {line}");
    assert!(shown.out.contains("commits/s") && shown.out.contains("memory"), "{shown:?}");
    let top = stage.json(&["top"]);
    assert!(top["node"]["rss_bytes"].as_u64().unwrap() > 1_000_000, "{top}");
}
