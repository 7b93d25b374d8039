//! Snapshots: a session's state as of one of its records, compressed and sealed. A cache: one that cannot be opened is
//! no error, and whoever wanted it folds the records. It must not know what the state means.

use domain::id::{Pos, Seq, SessionId};

use crate::codec;
use crate::commit::RECORD_BYTES;
use crate::seal::{Sealer, SessionKey};
use crate::store::SnapshotRow;

/// Of what a snapshot is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of {
    pub(super) fold: u32,
    pub(super) seq: Seq,
    pub(super) pos: Pos,
}

/// `None`: it would not be half as large as the state, or larger than a record may be.
pub(super) fn seal(sealer: &Sealer, key: &SessionKey, of: Of, state: &[u8]) -> Option<SnapshotRow> {
    let packed = codec::pack(state)?;
    if packed.len() > (state.len() / 2).min(RECORD_BYTES) {
        return None;
    }
    let session = key.session();
    let body = sealer.seal_for(key, aad(session, of).as_bytes(), &packed);
    Some(SnapshotRow { session, seq: of.seq, pos: of.pos, fold: of.fold, key: key.generation(), body })
}

/// `None`, and a word in the log, if it cannot be opened.
pub(super) fn open(key: &SessionKey, row: &SnapshotRow) -> Option<Vec<u8>> {
    let of = Of { fold: row.fold, seq: row.seq, pos: row.pos };
    let packed = key.open("snapshot", aad(row.session, of).as_bytes(), &row.body);
    let state = packed.ok().and_then(|packed| codec::unpack(&packed, codec::STATE_BYTES));
    if state.is_none() {
        tracing::warn!(session = %row.session, seq = row.seq.0, "a snapshot cannot be opened; the records are read");
    }
    state
}

fn aad(session: SessionId, of: Of) -> String {
    format!("ostler/snapshot/{session}/{}/{}/{}", of.seq.0, of.pos, of.fold)
}
