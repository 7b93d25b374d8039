//! When to look at the table of mail, and from where. What is posted here is told; the table is looked at when
//! something falls due, when something may have been missed, and, where other nodes share it, once a second. Pure: it
//! is told the time, and copes with a clock that steps.

use data::store::{DueBy, DueCursor};
use domain::clock::Timestamp;
use domain::id::SessionId;

/// How often a shared table is looked at, in milliseconds.
const SHARED_EVERY_MS: i64 = 1_000;

/// How far back such a look goes, in milliseconds: clocks of nodes differ, and a post takes a while.
const SHARED_BACK_MS: i64 = 60_000;

/// How often all of a shared table is looked at, in milliseconds.
const SHARED_ALL_EVERY_MS: i64 = 60_000;

/// When to look, and from where.
#[derive(Debug)]
pub(crate) struct Looks {
    shared: bool,
    /// Everything that was due until then is known.
    known_to: Option<Timestamp>,
    /// When something else falls due.
    next: Option<Timestamp>,
    /// When the table was last looked at, and all of it, in monotonic milliseconds.
    looked_ms: i64,
    looked_all_ms: i64,
}

/// One look, page by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// What is due by then.
    pub by: DueBy,
    /// Where the next page begins.
    pub from: Option<DueCursor>,
    /// Whether it is of all that is due.
    pub all: bool,
}

impl Looks {
    /// `shared`: other nodes may post what nobody here is told of.
    pub(crate) fn new(shared: bool) -> Self {
        Looks { shared, known_to: None, next: None, looked_ms: i64::MIN, looked_all_ms: i64::MIN }
    }

    /// That the table may hold what nobody here knows: all of it is looked at next.
    pub(crate) fn missed(&mut self) {
        self.known_to = None;
    }

    /// That mail was posted which is due later.
    pub(crate) fn later(&mut self, due: Timestamp) {
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
        // The clock stepped back: what is due again later would be behind the look that finds it.
        if self.known_to.is_some_and(|known| due <= known) {
            self.known_to = Some(due.plus_ms(-1));
        }
    }

    /// Whether it is time to look.
    pub(crate) fn is_time(&self, now: Timestamp, monotonic_ms: i64) -> bool {
        self.known_to.is_none() || self.next.is_some_and(|next| next <= now) || self.shared_in_ms(monotonic_ms) <= 0
    }

    /// How long until the next look, in milliseconds.
    pub(crate) fn due_in_ms(&self, now: Timestamp, monotonic_ms: i64) -> i64 {
        let next = self.next.map_or(i64::MAX, |next| next.since_ms(now));
        next.min(self.shared_in_ms(monotonic_ms))
    }

    fn shared_in_ms(&self, monotonic_ms: i64) -> i64 {
        if !self.shared {
            return i64::MAX;
        }
        self.looked_ms.saturating_add(SHARED_EVERY_MS).saturating_sub(monotonic_ms)
    }

    /// A look begins. What is posted from now on which is due later counts for the next.
    pub(crate) fn begin(&mut self, now: Timestamp, monotonic_ms: i64) -> Look {
        let all_again = self.shared && self.looked_all_ms.saturating_add(SHARED_ALL_EVERY_MS) <= monotonic_ms;
        let since = self.known_to.filter(|_| !all_again);
        let since = since.map(|known| if self.shared { known.plus_ms(-SHARED_BACK_MS) } else { known });
        self.looked_ms = monotonic_ms;
        if since.is_none() {
            self.looked_all_ms = monotonic_ms;
        }
        self.next = None;
        self.known_to = Some(self.known_to.map_or(now, |known| known.max(now)));
        // What was due when it was posted here was told. Other nodes' clocks may be ahead, and so may this one's have been
        // before it started.
        let by = match since {
            None => DueBy::all(now),
            Some(_) if self.shared => DueBy { now, ahead: now.plus_ms(SHARED_BACK_MS) },
            Some(_) => now.into(),
        };
        Look { by, from: since.map(behind), all: since.is_none() }
    }

    /// A look ended; something else falls due at `next`.
    pub(crate) fn end(&mut self, next: Option<Timestamp>) {
        self.next = [self.next, next].into_iter().flatten().min();
    }
}

/// Behind everything that is due at an instant.
fn behind(instant: Timestamp) -> DueCursor {
    let id = "-".parse().expect("a hyphen is printable and short");
    DueCursor { due: instant, posted: i64::MAX, session: SessionId::from_u128(u128::MAX), id }
}

#[cfg(test)]
mod tests {
    use data::store::DueBy;

    use super::{Looks, Timestamp};

    fn at(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    #[test]
    fn what_falls_due_is_looked_at_when_it_does_and_from_where_the_last_look_ended() {
        let mut looks = Looks::new(false);
        assert!(looks.is_time(at(100), 0));
        let first = looks.begin(at(100), 0);
        assert_eq!((first.from, first.all), (None, true));
        looks.end(Some(at(500)));
        assert!(!looks.is_time(at(499), 399));
        assert_eq!(looks.due_in_ms(at(400), 300), 100);
        looks.later(at(450));
        assert!(looks.is_time(at(450), 350));
        let second = looks.begin(at(450), 350);
        assert_eq!((second.from.map(|from| from.due), second.all), (Some(at(100)), false));
    }

    #[test]
    fn a_timer_that_is_set_while_a_look_goes_on_is_not_forgotten() {
        let mut looks = Looks::new(false);
        looks.begin(at(100), 0);
        looks.later(at(150));
        looks.end(Some(at(500)));
        assert!(looks.is_time(at(150), 50));
    }

    #[test]
    fn a_clock_that_steps_back_hides_nothing_that_is_set_afterwards() {
        let mut looks = Looks::new(false);
        looks.begin(at(10_000), 0);
        looks.end(None);
        // The clock says 5 s again, and a timer is set for 6 s.
        looks.later(at(6_000));
        assert!(!looks.is_time(at(5_500), 500));
        assert!(looks.is_time(at(6_000), 1_000));
        let look = looks.begin(at(6_000), 1_000);
        assert!(look.from.unwrap().due < at(6_000));
    }

    #[test]
    fn a_look_that_goes_back_leaves_what_was_known_known() {
        let mut looks = Looks::new(false);
        looks.begin(at(10_000), 0);
        looks.end(None);
        looks.missed();
        assert!(looks.begin(at(5_000), 1).all);
        looks.end(Some(at(9_000)));
        assert!(looks.is_time(at(9_000), 2));
    }

    #[test]
    fn what_was_due_when_it_was_posted_is_looked_for_ahead_of_a_clock_that_was_set_back() {
        let mut alone = Looks::new(false);
        assert_eq!(alone.begin(at(100), 0).by, DueBy::all(at(100)));
        alone.end(None);
        assert_eq!(alone.begin(at(200), 100).by, at(200).into());
        let mut shared = Looks::new(true);
        shared.begin(at(100_000), 0);
        shared.end(None);
        assert_eq!(shared.begin(at(101_000), 1_000).by, DueBy { now: at(101_000), ahead: at(161_000) });
    }

    #[test]
    fn a_shared_table_is_looked_at_each_second_and_all_of_it_each_minute() {
        let mut looks = Looks::new(true);
        looks.begin(at(100_000), 0);
        looks.end(None);
        assert!(!looks.is_time(at(100_900), 900));
        assert_eq!(looks.due_in_ms(at(100_900), 900), 100);
        let second = looks.begin(at(101_000), 1_000);
        assert_eq!(second.from.unwrap().due, at(40_000));
        looks.end(None);
        assert!(looks.begin(at(160_000), 60_000).all);
    }
}
