//! What ends without an outcome of its own: lost in a crash, resolved by a person, cut off by a kill. Its holds are
//! settled here, in the record that says so. Must not know prices: the most a call can come to was decided with it.

use data::rows::{InboxChange, InboxItem, InboxKey};
use domain::budget::{Amounts, Hold};
use domain::call::Settlement;
use domain::event::{Event, Resolution};
use domain::id::CallId;
use domain::session::{CallKind, CallState};

use super::Turn;
use crate::machine;

impl Turn {
    /// What a crash left in doubt: reads and model calls are asked again, a write is put before a person.
    pub(super) fn recover(&mut self) {
        for event in machine::recover(&self.awake.session) {
            let Event::CallInDoubt { call, attempt, .. } = event else { continue };
            let Some(open) = self.awake.session.open.get(&call.ordinal) else { continue };
            let CallState::InFlight { holds, worst, effect } = open.state.clone() else { continue };
            if matches!(open.kind, CallKind::Model) {
                let rows = self.parts.models.in_doubt(call, attempt, (&holds, worst));
                self.take(rows);
                continue;
            }
            let settlement = effect.may_be_repeated().then(|| self.settle_worst(&holds, worst));
            self.happen(Event::CallInDoubt { call, attempt, settlement });
            if !effect.may_be_repeated() {
                self.ask_what_happened(call);
            }
        }
    }

    pub(super) fn ask_what_happened(&mut self, call: CallId) {
        let principal = &self.awake.session.principal;
        let item = InboxItem {
            key: InboxKey::InDoubt { call },
            session: self.awake.session.id,
            agent: principal.link.agent.clone(),
            group: principal.owner.clone(),
            since: self.now(),
            expires: None,
        };
        self.rows.inbox.push(InboxChange::Open(item));
    }

    /// What ends without an outcome of its own is settled: at its worst, unless a person says that it did not happen.
    /// Nobody is asked about it any more.
    pub(super) fn settle_ended(&mut self, event: &mut Event) {
        let (call, worst, settlement) = match event {
            Event::CallInDoubt { call, settlement, .. } => (*call, true, settlement),
            Event::CallResolved { call, resolution, settlement, .. } => {
                (*call, !matches!(resolution, Resolution::DidNot), settlement)
            }
            Event::ApprovalDecided { verdict } => {
                let open = self.awake.session.open.get(&verdict.approval.call.ordinal);
                if open.is_none_or(|open| open.is_decided_by(verdict)) {
                    self.rows.inbox.push(InboxChange::Close(InboxKey::Approval { approval: verdict.approval }));
                }
                return;
            }
            Event::ApprovalWithdrawn { approval, .. } => {
                self.rows.inbox.push(InboxChange::Close(InboxKey::Approval { approval: *approval }));
                return;
            }
            _ => return,
        };
        let Some(open) = self.awake.session.open.get(&call.ordinal) else { return };
        let (CallState::InFlight { holds, worst: most, .. } | CallState::InDoubt { holds, worst: most, .. }) =
            open.state.clone()
        else {
            return;
        };
        self.rows.inbox.push(InboxChange::Close(InboxKey::InDoubt { call }));
        if worst {
            *settlement = Some(self.settle_worst(&holds, most));
        } else {
            let released = self.parts.gateway.release(call.session, &holds);
            self.rows.merge(released);
        }
    }

    /// It was sent, or may have been: it is taken to have come to the most it can.
    fn settle_worst(&mut self, holds: &[Hold], amounts: Amounts) -> Settlement {
        let rows = self.parts.gateway.settle(self.awake.session.id, holds, &amounts);
        self.rows.merge(rows);
        Settlement { amounts, worst_case: true, ..Settlement::default() }
    }
}
