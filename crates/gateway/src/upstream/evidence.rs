//! What a child process left behind: the end of its error output, what it printed that is not MCP, how it exited. It
//! is kept bounded and goes into error texts, so that a server that dies or talks rubbish says why. Must not know what
//! the messages mean.
//!
//! ```text
//! stdout ─▶ Watched ─▶ rmcp            stderr ─▶ keep_stderr ─▶ ring of the last bytes
//!              └─▶ lines that are no JSON, lines too long
//! ```

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::watch;

/// How much of the error output is kept, in bytes.
const STDERR_KEPT: usize = 4096;

/// How much of it an error text quotes, in characters.
const STDERR_QUOTED: usize = 400;

/// How much of a line that is not MCP is kept, in bytes.
const RUBBISH_KEPT: usize = 120;

/// The longest line a server may send, in bytes; a longer one is dropped unread.
pub(super) const MAX_LINE: usize = 8 * 1024 * 1024;

/// How long an error waits for a child's end, so that it can say how it ended.
const END_AWAITED: Duration = Duration::from_millis(300);

/// What is known of one child process. Clones share it.
#[derive(Clone)]
pub(super) struct Evidence {
    known: Arc<Mutex<Known>>,
    /// Whether no more will be known.
    complete: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct Known {
    stderr: VecDeque<u8>,
    rubbish: Option<String>,
    too_long: bool,
    exit: Option<String>,
}

impl Evidence {
    /// Nothing is known, nor will be: there is no child.
    pub(super) fn none() -> Self {
        Evidence { known: Arc::default(), complete: Arc::new(watch::Sender::new(true)) }
    }

    /// Nothing is known yet.
    pub(super) fn of_child() -> Self {
        Evidence { known: Arc::default(), complete: Arc::new(watch::Sender::new(false)) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the end of `stderr` until it closes.
    pub(super) async fn keep_stderr(self, mut stderr: impl AsyncRead + Unpin) {
        let mut chunk = [0; 1024];
        while let Ok(read) = stderr.read(&mut chunk).await
            && read > 0
        {
            let mut known = self.known();
            known.stderr.extend(&chunk[..read]);
            let excess = known.stderr.len().saturating_sub(STDERR_KEPT);
            known.stderr.drain(..excess);
        }
    }

    /// Notes that the process ended, and how, where that is known.
    pub(super) fn exited(&self, how: Option<String>) {
        self.known().exit = how;
        self.complete.send_replace(true);
    }

    /// What is known, once the child has ended or has had a moment to.
    pub(super) async fn tell_in_the_end(&self) -> String {
        self.wait_for_the_end(END_AWAITED).await;
        self.tell()
    }

    /// Waits until the child has ended, at most this long.
    pub(super) async fn wait_for_the_end(&self, limit: Duration) {
        let mut complete = self.complete.subscribe();
        // Either way there is no more to wait for.
        let _ = tokio::time::timeout(limit, complete.wait_for(|complete| *complete)).await;
    }

    /// What is known, to be put after a sentence; empty when there is nothing to tell.
    pub(super) fn tell(&self) -> String {
        let known = self.known();
        let mut told = String::new();
        if let Some(exit) = &known.exit {
            told += &format!("; it ended with {exit}");
        }
        if let Some(rubbish) = &known.rubbish {
            told += &format!("; it printed something that is not MCP: {rubbish:?}");
        }
        if known.too_long {
            told += &format!("; it sent a line of more than {MAX_LINE} bytes, which was dropped");
        }
        let stderr: Vec<u8> = known.stderr.iter().copied().collect();
        let stderr = String::from_utf8_lossy(&stderr);
        let words = stderr.trim();
        if !words.is_empty() {
            let skipped = words.chars().count().saturating_sub(STDERR_QUOTED);
            let tail: String = words.chars().skip(skipped).collect();
            told += &format!("; its error output ends with: {tail}");
        }
        told
    }
}

/// A child's standard output, passed on unchanged, with an eye on its lines.
pub(super) struct Watched<R> {
    inner: R,
    evidence: Evidence,
    head: Vec<u8>,
    length: usize,
}

impl<R> Watched<R> {
    pub(super) fn new(inner: R, evidence: Evidence) -> Self {
        Watched { inner, evidence, head: Vec::new(), length: 0 }
    }

    fn see(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let kept = piece.len().min(RUBBISH_KEPT.saturating_sub(self.head.len()));
            self.head.extend_from_slice(&piece[..kept]);
            self.length += piece.len();
            if self.length > MAX_LINE {
                self.evidence.known().too_long = true;
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.head);
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('{') {
            self.evidence.known().rubbish = Some(line.to_owned());
        }
        self.head.clear();
        self.length = 0;
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.see(&buf.filled()[before..]);
        polled
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::{Evidence, MAX_LINE, Watched};

    async fn watch(output: &[u8]) -> String {
        let evidence = Evidence::of_child();
        let mut passed_on = Vec::new();
        Watched::new(output, evidence.clone()).read_to_end(&mut passed_on).await.unwrap();
        assert_eq!(passed_on, output);
        evidence.tell()
    }

    #[tokio::test]
    async fn a_line_that_is_no_json_is_told() {
        assert_eq!(watch(b"{\"id\":1}\n\n{\"id\":2}\n").await, "");
        assert!(watch(b"{}\nStarting up...\n{}\n").await.ends_with("not MCP: \"Starting up...\""));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_told() {
        let mut line = vec![b' '; MAX_LINE + 1];
        line[0] = b'{';
        assert!(watch(&line).await.contains("which was dropped"));
    }

    #[tokio::test]
    async fn only_the_end_of_the_error_output_is_kept() {
        let evidence = Evidence::of_child();
        let noise = "x".repeat(10_000) + "the end";
        evidence.clone().keep_stderr(noise.as_bytes()).await;
        assert!(evidence.tell().ends_with("xthe end"));
        assert!(evidence.tell().len() < 500);
        assert!(evidence.known().stderr.len() <= super::STDERR_KEPT);
    }
}
