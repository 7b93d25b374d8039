//! Tables of calls asked of files alone: no server is running, nothing is applied anywhere, and no upstream says what its
//! tools take. Their arguments are taken to be as the table's calls write them.

use control::apply;
use control::policy::check;
use control::policy::suppose::{self, Case};
use domain::clock::{Clock, SystemClock};
use domain::descriptor::Policy;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::resources::{File, misfit, parse_all, unfit};
use crate::error::{ApiError, ApiResult};

/// What is asked, as a server is asked it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    cases: Vec<Case>,
    files: Vec<File>,
}

/// What the rules of these files say to these calls; what a server would answer to the same body.
///
/// # Errors
/// The status and the body with which a server would refuse.
pub fn ask(body: Value) -> Result<Value, (u16, Value)> {
    let asked = serde_json::from_value(body).map_err(|error| {
        ApiError::bad(format!("a call is not what this takes: {error}"), "see `ostler policy test --help`")
    });
    asked.and_then(|asked| answered(&asked)).map_err(|error| error.told())
}

fn answered(asked: &Asked) -> ApiResult<Value> {
    let Asked { cases, files } = asked;
    let descriptors = parse_all(files)?;
    let policies: Vec<Policy> = apply::policies(&descriptors).cloned().collect();
    let wrong: Vec<_> = policies.iter().flat_map(check::reads).collect();
    if !wrong.is_empty() {
        return Err(unfit(wrong.iter().map(|one| misfit(files, &policies, one)).collect()));
    }
    let registry = apply::alone(&descriptors)?;
    let now = SystemClock.now();
    // Whether 3 is a whole number or one that happens to be, only the rules can tell: they read it as one or the other.
    let [parts, whole] = [false, true].map(|whole| suppose::looked_like(cases, whole));
    let each = cases.iter().map(|case| {
        let fits = |definitions| suppose::fits(&registry, definitions, case);
        let definitions = if !fits(&parts) && fits(&whole) { &whole } else { &parts };
        suppose::ask(&registry, definitions, case, now)
    });
    Ok(json!({ "answers": each.collect::<Result<Vec<_>, _>>()? }))
}
