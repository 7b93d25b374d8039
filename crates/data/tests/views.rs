//! The views, over records made by hand and over a real SQLite file.

#[cfg(test)]
#[path = "views/audit.rs"]
mod audit;
#[cfg(test)]
#[path = "views/explain.rs"]
mod explain;
#[cfg(test)]
#[path = "views/feed.rs"]
mod feed;
#[cfg(test)]
#[path = "views/spend.rs"]
mod spend;
#[cfg(test)]
#[path = "views/story.rs"]
mod story;
#[cfg(test)]
#[path = "views/tail.rs"]
mod tail;
#[cfg(test)]
#[path = "views/trace.rs"]
mod trace;
