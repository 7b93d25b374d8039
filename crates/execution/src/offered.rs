//! What each revision was offered last, with its text and hash: asked on every wake, and the same almost always. It
//! must not know what an offer means.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::capability::Offer;
use domain::id::Digest;

/// Of how many revisions it is known; beyond that it starts anew.
const REVISIONS: usize = 1_024;

/// A list of offers, as it is recorded.
#[derive(Debug)]
pub(crate) struct Listed {
    pub offers: Arc<[Offer]>,
    /// Its canonical JSON.
    pub text: String,
    /// Of that.
    pub hash: Digest,
}

/// What each revision was offered last.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    of: Mutex<BTreeMap<Digest, Arc<Listed>>>,
}

impl Offered {
    /// The offers that a revision has now, as they are recorded.
    pub(crate) fn listed(&self, revision: Digest, offers: Arc<[Offer]>) -> Arc<Listed> {
        let known = self.of.lock().unwrap_or_else(PoisonError::into_inner).get(&revision).cloned();
        if let Some(known) = known.filter(|known| known.offers == offers) {
            return known;
        }
        let json = serde_json::to_value(&*offers).expect("offers are plain JSON");
        let text = domain::canonical::to_string(&json);
        let listed = Arc::new(Listed { offers, hash: Digest::of(text.as_bytes()), text });
        let mut all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REVISIONS {
            all.clear();
        }
        all.insert(revision, listed.clone());
        listed
    }
}
