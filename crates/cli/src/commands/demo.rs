//! `demo`: everything on one machine, with no key, no server and no Node. Five agents work on files that ship with
//! Ostler; a scripted provider stands in for the model and decides from what the tools really returned.
//!
//! ```text
//!   demo ── starts ──▶ ostler up (a process of its own, so that it can be killed; it stops when this one is gone)
//!     └──── asks ────▶ its API, like any other client
//! ```

mod exit;
mod runtime;
mod story;

use std::path::PathBuf;

use serde_json::Value;

use crate::args::{Demo, Format, Global};
use crate::client::{Failure, Outcome};
use crate::commands::store;
use crate::commands::up::asked_to_stop;
use crate::output;

use runtime::Runtime;
use story::Story;

/// Shows everything.
pub(crate) async fn demo(global: &Global, demo: Demo) -> Outcome {
    let stop = asked_to_stop()?;
    tokio::pin!(stop);
    store::named(demo.store.as_deref())?;
    let place = Place::make(global, demo.keep)?;
    let mut runtime = tokio::select! {
        runtime = Runtime::start(&place.dir, demo.store.clone(), demo.listen) => runtime?,
        () = &mut stop => return Err(stopped()),
    };
    let told = tokio::select! {
        told = tell(global, &demo, &place, &mut runtime) => told,
        () = &mut stop => Err(stopped()),
    };
    let outcome = match told {
        Ok(Some(shown)) => {
            let watched = tokio::select! {
                watched = runtime.stay_up(&shown) => watched,
                () = &mut stop => Ok(()),
            };
            output::talk("\nstopping");
            watched
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    runtime.stop().await;
    if place.stays {
        let dir = place.dir.display();
        output::talk(&format!("kept: {dir}; go on with `cd {dir} && ostler up --data .`"));
    }
    outcome
}

fn stopped() -> Failure {
    Failure::Failed(anyhow::anyhow!("stopped before it was done"))
}

/// Walks; returns the story where a person goes on with it.
async fn tell(global: &Global, demo: &Demo, place: &Place, runtime: &mut Runtime) -> Outcome<Option<Story>> {
    let mut story = Story::begin(runtime, place.dir.clone());
    story.set_up().await?;
    story.four_short_agents().await?;
    let waiting = story.reconcile().await?;
    if demo.exit {
        let summary: Value = exit::finish(&story, runtime, &waiting).await?;
        output::print(global.output, &summary, exit::words)?;
        return Ok(None);
    }
    let sign_in = story.sign_in().await?;
    match global.output {
        Format::Table => output::data(&story.menu(&waiting, &sign_in, runtime.pid())),
        Format::Json | Format::Jsonl | Format::Yaml | Format::Csv => {
            output::print(global.output, &story.as_value(&waiting, &sign_in, runtime.pid()), |_| String::new())?;
        }
    }
    Ok(Some(story))
}

/// Where the demo lives: a directory that goes when it ends, unless it is to be kept.
struct Place {
    dir: PathBuf,
    stays: bool,
    _gone_at_end: Option<tempfile::TempDir>,
}

impl Place {
    fn make(global: &Global, keep: bool) -> Outcome<Place> {
        if let Some(dir) = &global.data {
            std::fs::create_dir_all(dir).map_err(|error| {
                anyhow::anyhow!("{} could not be made: {error}; give another with --data", dir.display())
            })?;
            let dir = std::fs::canonicalize(dir)?;
            if std::fs::read_dir(&dir)?.next().is_some() {
                let shown = dir.display();
                return Err(Failure::Usage(format!(
                    "{shown} is not empty, and the demo writes over nothing: give an empty --data, or none; a demo that \
                     was kept goes on with `cd {shown} && ostler up --data .`"
                )));
            }
            return Ok(Place { dir, stays: true, _gone_at_end: None });
        }
        let made = tempfile::Builder::new().prefix("ostler-demo-").tempdir()?;
        if keep {
            return Ok(Place { dir: made.keep(), stays: true, _gone_at_end: None });
        }
        Ok(Place { dir: made.path().to_owned(), stays: false, _gone_at_end: Some(made) })
    }
}
