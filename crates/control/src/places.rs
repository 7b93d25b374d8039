//! Places at an upstream: so many calls at once, and so many more that wait, agents in turn. What comes beyond is turned
//! away at once. It must not know what a call is, or what it is sent to.
//!
//! ```text
//!   agent a: 1 2 3 ─┐
//!   agent b: 4      ├─ one of each in turn ─▶ `concurrent` places ─▶ given back ─▶ the next
//!   agent c: 5 6   ─┘ at most `queue` in all
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::descriptor::Places;
use domain::id::Name;
use tokio::sync::oneshot;

/// When somebody who was turned away may come back, in milliseconds.
const COME_BACK_MS: i64 = 1_000;

/// The lines before all upstreams of one kind, by name.
#[derive(Debug, Default)]
pub struct Lines(Mutex<BTreeMap<Name, Arc<Line>>>);

/// The line before one upstream.
#[derive(Debug)]
pub struct Line(Mutex<State>);

#[derive(Debug)]
struct State {
    limits: Places,
    taken: u32,
    waiting: BTreeMap<Name, VecDeque<oneshot::Sender<Place>>>,
    /// Agents that wait, in whose turn it is.
    turns: VecDeque<Name>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place(Option<Arc<Line>>);

/// That there is no place: nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// As many wait as may.
    #[error("{waiting} calls wait for a place already, which is its bound; try again in {} s", COME_BACK_MS / 1_000)]
    Full {
        /// How many wait.
        waiting: usize,
    },
    /// None became free in time.
    #[error("no place became free within {after_s} s; try again in {} s", COME_BACK_MS / 1_000)]
    Late {
        /// How long it waited, in seconds.
        after_s: u64,
    },
}

impl Crowded {
    /// When to come back, in milliseconds.
    pub fn retry_after_ms(self) -> i64 {
        COME_BACK_MS
    }
}

impl Lines {
    /// The line before an upstream. New limits count at once; calls under way keep their places.
    pub fn before(&self, upstream: &Name, limits: Places) -> Arc<Line> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || State { limits, taken: 0, waiting: BTreeMap::new(), turns: VecDeque::new() };
        let line = all.entry(upstream.clone()).or_insert_with(|| Arc::new(Line(Mutex::new(fresh()))));
        line.lock().limits = limits;
        Arc::clone(line)
    }
}

impl Line {
    /// Takes a place in the agent's turn.
    ///
    /// # Errors
    /// When as many wait as may, at once; when none became free in time.
    pub async fn take(self: &Arc<Self>, agent: &Name, patience: Duration) -> Result<Place, Crowded> {
        self.fill();
        let waits = {
            let mut state = self.lock();
            if state.taken < state.limits.concurrent && state.turns.is_empty() {
                state.taken += 1;
                return Ok(Place(Some(Arc::clone(self))));
            }
            state.wait(agent)?
        };
        match tokio::time::timeout(patience, waits).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Crowded::Late { after_s: patience.as_secs() }),
        }
    }

    /// Lets those who wait have what is free, one at a time.
    fn fill(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                let free = state.taken < state.limits.concurrent;
                let Some(next) = free.then(|| state.next()).flatten() else { return };
                state.taken += 1;
                next
            };
            // One who does not wait any more drops it here or there, and it is given to the next.
            if let Err(mut place) = next.send(Place(Some(Arc::clone(self)))) {
                place.0 = None;
                self.lock().taken -= 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, agent: &Name) -> Result<oneshot::Receiver<Place>, Crowded> {
        let most = self.limits.queue as usize;
        if self.waiting.values().map(VecDeque::len).sum::<usize>() >= most {
            self.forget_who_left();
        }
        let waiting = self.waiting.values().map(VecDeque::len).sum();
        if waiting >= most {
            return Err(Crowded::Full { waiting });
        }
        let (give, waits) = oneshot::channel();
        let line = self.waiting.entry(agent.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(agent.clone());
        }
        line.push_back(give);
        Ok(waits)
    }

    /// Whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let agent = self.turns.pop_front()?;
        let line = self.waiting.get_mut(&agent)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.waiting.remove(&agent);
        } else {
            self.turns.push_back(agent);
        }
        next
    }

    fn forget_who_left(&mut self) {
        self.waiting.retain(|_, line| {
            line.retain(|one| !one.is_closed());
            !line.is_empty()
        });
        self.turns.retain(|agent| self.waiting.contains_key(agent));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            line.lock().taken -= 1;
            line.fill();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use domain::descriptor::Places;
    use domain::id::Name;
    use tokio::task::{JoinHandle, yield_now};

    use super::{Crowded, Line, Lines, Place};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn line(concurrent: u32, queue: u32) -> Arc<Line> {
        Lines::default().before(&name("api"), Places { concurrent, queue })
    }

    async fn waits(line: &Arc<Line>, agent: &'static str) -> JoinHandle<Result<Place, Crowded>> {
        let line = Arc::clone(line);
        let task = tokio::spawn(async move { line.take(&name(agent), PATIENCE).await });
        yield_now().await;
        task
    }

    #[tokio::test(start_paused = true)]
    async fn agents_that_wait_take_turns_however_many_calls_one_has() {
        let line = line(1, 100);
        let mut held = line.take(&name("busy"), PATIENCE).await.unwrap();
        let mut all = Vec::new();
        for agent in ["busy", "busy", "busy", "quiet", "busy", "rare"] {
            all.push((agent, waits(&line, agent).await));
        }
        let mut order = Vec::new();
        while !all.is_empty() {
            drop(held);
            yield_now().await;
            let at = all.iter().position(|(_, task)| task.is_finished()).unwrap();
            assert_eq!(all.iter().filter(|(_, task)| task.is_finished()).count(), 1, "one place, one call");
            let (agent, task) = all.remove(at);
            order.push(agent);
            held = task.await.unwrap().unwrap();
        }
        assert_eq!(order, ["busy", "quiet", "rare", "busy", "busy", "busy"]);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_bound_one_is_turned_away_at_once_and_who_left_leaves_room() {
        let line = line(1, 2);
        let held = line.take(&name("a"), PATIENCE).await.unwrap();
        let (first, second) = (waits(&line, "a").await, waits(&line, "b").await);
        let (third, moment) = (name("c"), Duration::from_millis(1));
        let full = tokio::time::timeout(moment, line.take(&third, PATIENCE)).await.unwrap().unwrap_err();
        assert_eq!(full, Crowded::Full { waiting: 2 });
        assert!(full.to_string().contains("try again in 1 s") && full.retry_after_ms() == 1_000, "{full}");
        first.abort();
        yield_now().await;
        let third = waits(&line, "c").await;
        drop(held);
        let second = second.await.unwrap().unwrap();
        drop(second);
        third.await.unwrap().unwrap();
        // All were given back.
        line.take(&name("a"), Duration::ZERO).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_and_a_new_limit_counts_at_once() {
        let lines = Lines::default();
        let api = name("api");
        let line = lines.before(&api, Places { concurrent: 1, queue: 9 });
        let held = line.take(&api, PATIENCE).await.unwrap();
        assert_eq!(line.take(&api, PATIENCE).await.unwrap_err(), Crowded::Late { after_s: 60 });
        let waiting = waits(&line, "a").await;
        let more = lines.before(&api, Places { concurrent: 3, queue: 9 });
        let third = more.take(&api, PATIENCE).await.unwrap();
        let second = waiting.await.unwrap().unwrap();
        lines.before(&api, Places { concurrent: 1, queue: 9 });
        let last = waits(&line, "a").await;
        drop((held, third));
        yield_now().await;
        assert!(!last.is_finished(), "one is still under way");
        drop(second);
        last.await.unwrap().unwrap();
    }
}
