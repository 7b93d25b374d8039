//! The control shard, through the log: no owner, optimistic on its position, sealed under the store's own key.

use domain::clock::Timestamp;
use domain::control::{ControlEvent, ControlRecord};
use domain::event::Header;
use domain::id::{Digest, Epoch, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use domain::principal::Mode;
use serde_json::Value;

use crate::commit::read::unreadable;
use crate::commit::{Committed, Log};
use crate::error::{ControlError, DataError, Refused};
use crate::record::{CODEC_CONTROL, Envelope};
use crate::store::{ControlAnswer, ControlRow, RecordRow, StoreError};

/// How many control records are read at once.
const PAGE: usize = 256;

impl Log {
    /// Records a change of authority if the control shard is still at `expected`; answers its new position.
    pub async fn commit_control(
        &self,
        expected: Pos,
        by: &str,
        events: Vec<ControlEvent>,
    ) -> Result<Pos, ControlError> {
        let last = self.control_time(expected).await?;
        let row = self.control_row(expected, last, by, &events);
        let pos = row.record.envelope.pos;
        if row.record.body.len() > super::RECORD_BYTES {
            let refused = Refused::TooLarge { bytes: row.record.body.len(), limit: super::RECORD_BYTES };
            return Err(refused.into());
        }
        let written = self.store().commit_control(row).await;
        self.shared().saw(&written);
        match written {
            Ok(ControlAnswer::Committed) => {
                self.shared().saw_control(pos);
                let (session, shard) = (SessionId::CONTROL, Shard::CONTROL);
                self.shared().tell(Committed { session, seq: Seq(pos.0), shard, pos });
                Ok(pos)
            }
            Ok(ControlAnswer::Moved { now }) => {
                self.shared().saw_control(now);
                Err(ControlError::Moved { now })
            }
            Err(StoreError::Unknown(_)) => Err(ControlError::Unknown),
            Err(error) => Err(Refused::from(error).into()),
        }
    }

    /// What happened to authority after a position, in order.
    pub async fn control_since(&self, after: Pos) -> Result<Vec<ControlRecord>, DataError> {
        let (mut all, mut after) = (Vec::new(), after);
        loop {
            let page = self.store().tail(Shard::CONTROL, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.envelope.pos;
            for row in page {
                let (pos, at) = (row.envelope.pos, row.envelope.at);
                let events = self.open_control(&row)?;
                all.extend(events.into_iter().map(|event| ControlRecord { pos, at, event }));
            }
        }
        self.shared().saw_control(after);
        Ok(all)
    }

    /// The time of the record at a position, so that the shard's time never goes back.
    async fn control_time(&self, pos: Pos) -> Result<Timestamp, DataError> {
        let Some(before) = pos.0.checked_sub(1) else { return Ok(Timestamp(i64::MIN)) };
        let row = self.store().tail(Shard::CONTROL, Pos(before), 1).await?;
        Ok(row.first().map_or(Timestamp(i64::MIN), |row| row.envelope.at))
    }

    fn control_row(&self, expected: Pos, last: Timestamp, by: &str, events: &[ControlEvent]) -> ControlRow {
        let pos = Pos(expected.0 + 1);
        let values = events.iter().map(|event| serde_json::to_value(event).expect("a control event is plain JSON"));
        let values: Vec<Value> = values.collect();
        let who = Value::String(by.to_owned()).to_string();
        let principal = Digest::of(who.as_bytes());
        let envelope = Envelope {
            shard: Shard::CONTROL,
            pos,
            session: SessionId::CONTROL,
            seq: Seq(pos.0),
            prev: expected,
            epoch: Epoch(0),
            at: self.clock().now().max(last),
            principal,
            trace: TraceId(0),
            span: SpanId::of_session(SessionId::CONTROL),
            parent: None,
            cause: by.to_owned(),
            control_pos: expected,
            mode: Mode::Live,
            synthetic: false,
            key: 0,
            codec: CODEC_CONTROL,
            headers: values.iter().map(header_of).collect(),
        };
        let plain = Value::Array(values).to_string();
        let aad = envelope.canonical();
        let body = self.sealer().seal("control", SessionId::CONTROL, aad.as_bytes(), plain.as_bytes());
        ControlRow { record: RecordRow { envelope: envelope.unread(), body }, texts: vec![(principal, who)] }
    }

    pub(super) fn open_control(&self, row: &RecordRow) -> Result<Vec<ControlEvent>, DataError> {
        let envelope = &row.envelope;
        if envelope.codec != CODEC_CONTROL {
            return Err(unreadable(envelope, format!("codec {}", envelope.codec), "unknown codec".to_owned()));
        }
        let aad = envelope.canonical_as_stored()?;
        let plain = self.sealer().open_own("control", SessionId::CONTROL, aad.as_bytes(), &row.body)?;
        super::read::parse(envelope, &plain)
    }
}

fn header_of(event: &Value) -> Header {
    let kind = event.get("kind").and_then(Value::as_str).unwrap_or_default();
    Header { k: kind.to_owned(), v: 1, ..Header::default() }
}
