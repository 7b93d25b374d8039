//! Notices when a server's input ends, so that an answer held back does not keep the process alive. rmcp itself drains
//! running calls for some seconds before it says that the connection is gone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;

/// A reader that drops its token at end of input.
pub(super) struct EndOfInput<R> {
    reader: R,
    token: Option<watch::Sender<()>>,
}

/// Resolves at the end of the input it was made for.
#[derive(Clone)]
pub(super) struct InputOpen(watch::Receiver<()>);

/// Wraps `reader`; the second half tells when it has ended or was dropped.
pub(super) fn watch_end<R>(reader: R) -> (EndOfInput<R>, InputOpen) {
    let (token, open) = watch::channel(());
    (EndOfInput { reader, token: Some(token) }, InputOpen(open))
}

impl InputOpen {
    /// Waits until the input has ended.
    pub(super) async fn ended(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for EndOfInput<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = (buffer.filled().len(), buffer.remaining());
        let polled = Pin::new(&mut self.reader).poll_read(cx, buffer);
        let ended = match &polled {
            Poll::Ready(Ok(())) => before.1 > 0 && buffer.filled().len() == before.0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if ended {
            self.token = None;
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::watch_end;

    #[tokio::test]
    async fn the_end_is_seen_once_everything_was_read() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let (mut reader, open) = watch_end(reader);
        writer.write_all(b"hello").await.unwrap();
        let mut word = [0; 5];
        reader.read_exact(&mut word).await.unwrap();
        assert!(reader.token.is_some());
        drop(writer);
        assert_eq!(reader.read(&mut word).await.unwrap(), 0);
        tokio::time::timeout(Duration::from_secs(4), open.ended()).await.expect("the end is seen");
    }
}
