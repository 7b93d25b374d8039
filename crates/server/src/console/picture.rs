//! Spend over time as a picture that is drawn here: a bar for each hour, a shade for each name. It must not know whose
//! money it is.

use maud::{Markup, html};

use super::words::money;

/// How many names have a shade of their own; the rest are one.
const SHADES: usize = 5;
const WIDTH: usize = 720;
const HEIGHT: i64 = 160;

/// The picture, and what its shades mean; nothing where nothing was spent. `series` has the dearest first.
pub(super) fn picture(title: &str, series: &[(String, Vec<i64>)]) -> Markup {
    let shown = shaded(series);
    let hours = shown.iter().map(|(_, amounts)| amounts.len()).max().unwrap_or(0);
    let at = |hour: usize| shown.iter().map(|(_, amounts)| amounts[hour]).fold(0, i64::saturating_add);
    let most = (0..hours).map(at).max().unwrap_or(0);
    if most <= 0 {
        return html! {};
    }
    let step = WIDTH / hours;
    html! {
        figure {
            figcaption { (title) ": at most " (money(most)) " in an hour" }
            svg class="spend" role="img" aria-label=(title) viewBox={"0 0 " (WIDTH) " " (HEIGHT)} width=(WIDTH) height=(HEIGHT) {
                @for hour in 0..hours { (bar(&shown, (hour, step), most)) }
                line x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            }
            p.meta {
                @for (shade, (name, amounts)) in shown.iter().enumerate() {
                    svg class="key" width="10" height="10" aria-hidden="true" { rect class={"shade" (shade)} width="10" height="10" {} }
                    " " (name) " " (money(amounts.iter().copied().fold(0, i64::saturating_add))) "  "
                }
            }
        }
    }
}

/// One hour's bar: its parts stand on each other.
fn bar(shown: &[(String, Vec<i64>)], (hour, step): (usize, usize), most: i64) -> Markup {
    let mut below = 0_i64;
    let parts = shown.iter().enumerate().map(|(shade, (_, amounts))| {
        let from = below.saturating_mul(HEIGHT) / most;
        below = below.saturating_add(amounts[hour]);
        (shade, from, below.saturating_mul(HEIGHT) / most)
    });
    html! {
        @for (shade, from, to) in parts {
            @if to > from {
                rect class={"shade" (shade)} x=(hour * step + 1) width=(step - 2) y=(HEIGHT - to) height=(to - from) {}
            }
        }
    }
}

/// The dearest, and everything else as one.
fn shaded(series: &[(String, Vec<i64>)]) -> Vec<(String, Vec<i64>)> {
    let mut shown = series[..series.len().min(SHADES)].to_vec();
    let rest = &series[shown.len()..];
    if let Some((_, first)) = rest.first() {
        let sum = |hour: usize| rest.iter().map(|(_, amounts)| amounts[hour]).fold(0, i64::saturating_add);
        shown.push(("everything else".to_owned(), (0..first.len()).map(sum).collect()));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_on_each_other_and_names_beyond_the_shades_are_one() {
        let series: Vec<_> = (1..=8).map(|n| (format!("agent-{n}"), vec![0, 10 - n])).collect();
        let drawn = picture("Spend", &series).into_string();
        assert_eq!(drawn.matches("<rect").count(), 12, "six parts of one hour, and their keys: {drawn}");
        assert!(drawn.contains("everything else") && !drawn.contains("agent-6"), "{drawn}");
    }

    #[test]
    fn where_nothing_was_spent_there_is_no_picture() {
        assert_eq!(picture("Spend", &[("a".to_owned(), vec![0, 0])]).into_string(), "");
        assert_eq!(picture("Spend", &[]).into_string(), "");
    }
}
