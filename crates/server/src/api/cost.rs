//! What agents cost.

use axum::Json;
use axum::extract::State;
use data::spend::{By, Cost};
use domain::clock::Timestamp;
use serde::Deserialize;

use super::Params;
use crate::app::{App, VIEWS_WITHIN};
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// By what, and since when.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    since: Option<String>,
}

/// Spend, dearest first, with its sum.
pub(crate) async fn cost(State(app): State<App>, _: Who, Params(which): Params<Which>) -> ApiResult<Json<Cost>> {
    let by: By =
        which.by.as_deref().unwrap_or("agent").parse().map_err(|error: String| ApiError::bad(error, "say by=agent"))?;
    let back = which.since.as_deref().unwrap_or("24h");
    let since = since(app.clock.now(), back)
        .ok_or_else(|| ApiError::bad(format!("{back:?} is no length of time"), "write 30m, 24h or 7d"))?;
    Ok(Json(spent(&app, by, since).await?))
}

/// What was spent since an instant.
pub(crate) async fn spent(app: &App, by: By, since: Timestamp) -> ApiResult<Cost> {
    app.views.caught_up(VIEWS_WITHIN).await;
    Ok(app.views.cost(by, since).await?)
}

/// The instant that lies `30m`, `24h` or `7d` before another.
fn since(now: Timestamp, back: &str) -> Option<Timestamp> {
    let (number, unit) = back.split_at_checked(back.len().checked_sub(1)?)?;
    let unit_ms = match unit {
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let ms = number.parse::<u32>().ok().map(i64::from)?.checked_mul(unit_ms)?;
    Some(now.plus_ms(-ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_number_and_a_unit() {
        let now = Timestamp(1_000_000_000);
        assert_eq!(since(now, "30m"), Some(Timestamp(1_000_000_000 - 1_800_000)));
        assert_eq!(since(now, "2h"), Some(Timestamp(1_000_000_000 - 7_200_000)));
        for wrong in ["", "h", "1", "-1h", "1y", "é"] {
            assert_eq!(since(now, wrong), None, "{wrong}");
        }
    }
}
