//! What agents cost.

use axum::Json;
use axum::extract::State;
use data::spend::{self, By, Cost};
use data::store::SpendRow;
use domain::clock::Timestamp;
use domain::id::Name;
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
    let since = instant(&app, which.since.as_deref().unwrap_or("24h"))?;
    Ok(Json(spent(&app, by, since).await?))
}

/// The instant that a length of time back from now, or a day, stands for.
pub(crate) fn instant(app: &App, back: &str) -> ApiResult<Timestamp> {
    since(app.clock.now(), back)
        .ok_or_else(|| ApiError::bad(format!("{back:?} is no length of time and no day"), "write 24h or 2026-11-01"))
}

/// What was spent since an instant.
pub(crate) async fn spent(app: &App, by: By, since: Timestamp) -> ApiResult<Cost> {
    Ok(spend::cost(&rows(app, since).await?, by, since, |agent| owner(app, agent)))
}

/// The rows that the sums are made of, from the start of an hour on.
pub(crate) async fn rows(app: &App, since: Timestamp) -> ApiResult<Vec<SpendRow>> {
    app.views.caught_up(VIEWS_WITHIN).await;
    Ok(app.views.spend(since).await?)
}

/// Who owns an agent now; of one that is gone nobody knows.
pub(crate) fn owner(app: &App, agent: &Name) -> Option<String> {
    app.gate.registry().agent(agent).map(|entry| entry.descriptor.metadata.owner.to_string())
}

/// The instant that lies `30m`, `24h` or `7d` before another, or at which a day began: `2026-11-01`, in UTC.
fn since(now: Timestamp, back: &str) -> Option<Timestamp> {
    if back.len() == "2026-11-01".len() {
        return format!("{back}T00:00Z").parse().ok();
    }
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
    fn a_length_of_time_is_a_number_and_a_unit_or_a_day() {
        let now = Timestamp(1_000_000_000);
        assert_eq!(since(now, "30m"), Some(Timestamp(1_000_000_000 - 1_800_000)));
        assert_eq!(since(now, "2h"), Some(Timestamp(1_000_000_000 - 7_200_000)));
        assert_eq!(since(now, "1970-01-02"), Some(Timestamp(86_400_000)));
        for wrong in ["", "h", "1", "-1h", "1y", "é", "1970-13-02", "a day ago."] {
            assert_eq!(since(now, wrong), None, "{wrong}");
        }
    }
}
