//! The limit that the log is compared with: a file, appended to by one thread, one fdatasync for all that waits.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tokio::sync::{mpsc, oneshot};

type Waiting = (Vec<u8>, oneshot::Sender<()>);

/// How many appends share one flush at most, as in the log.
const GROUP: usize = 512;

#[derive(Clone)]
pub(crate) struct RawLog(mpsc::Sender<Waiting>);

impl RawLog {
    pub(crate) fn open(path: &Path) -> RawLog {
        let mut file = File::create(path).expect("a file");
        let (sender, mut waiting) = mpsc::channel::<Waiting>(4096);
        std::thread::spawn(move || {
            while let Some((mut bytes, reply)) = waiting.blocking_recv() {
                let mut replies = vec![reply];
                while replies.len() < GROUP
                    && let Ok((more, reply)) = waiting.try_recv()
                {
                    bytes.extend_from_slice(&more);
                    replies.push(reply);
                }
                file.write_all(&bytes).expect("room");
                file.sync_data().expect("a flush");
                for reply in replies {
                    reply.send(()).expect("whoever appends waits");
                }
            }
        });
        RawLog(sender)
    }

    pub(crate) async fn append(&self, bytes: Vec<u8>) {
        let (reply, done) = oneshot::channel();
        self.0.send((bytes, reply)).await.expect("the writer lives");
        done.await.expect("the writer lives");
    }
}
