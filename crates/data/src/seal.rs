//! Seals: one random key per session, wrapped by the store's master key, so that dropping the one erases the
//! session's content and nothing else. Bodies are sealed with ChaCha20-Poly1305 (RFC 8439), bound to their envelope;
//! ids of messages are HMAC-SHA-256 under the session's key. It must not know what it seals, or when.

mod key_file;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::clock::Clock;
use domain::id::{Digest, SessionId};
use domain::message::Message;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};

use crate::store::{About, KeyRow};

/// A seal that could not be made or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The store is in use and its key is gone.
    #[error(
        "{path} is missing, and without it this store cannot be read: put the file back from a backup, or from the data \
             directory of another Ostler on the same store"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the key.
    #[error("{path} can be read by others (mode {mode:03o}): run chmod 600 on it, and start again")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key is another store's.
    #[error("{path} is the key of another store: put back the one that belongs to this store")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The key cannot be read or written.
    #[error("{path} cannot be used ({why}): check that it is this user's own and that there is space")]
    Denied {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        why: String,
    },
    /// The key file holds something else.
    #[error("{path} is not a key file: put it back from a backup")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// A sealed text is not what was sealed, or not with this key, or not under this envelope.
    #[error("a sealed {what} does not open with its key: the store or its key was changed; restore both from a backup")]
    Broken {
        /// What was to be opened.
        what: &'static str,
    },
}

/// Seals and opens with the store's master key.
#[derive(Clone)]
pub struct Sealer {
    master: Arc<hkdf::Prk>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// The sealer of the store in a data directory, from its file `master.key`, which is made if the store is fresh.
    pub fn open(dir: &Path, about: &About, clock: Arc<dyn Clock>) -> Result<Sealer, SealError> {
        let master = key_file::load_or_make(&dir.join("master.key"), about, &*clock)?;
        Ok(Sealer::from_master(&master, clock))
    }

    /// A sealer with a key that is kept elsewhere, or nowhere.
    pub fn from_master(master: &[u8; 32], clock: Arc<dyn Clock>) -> Sealer {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"ostler/master/1");
        Sealer { master: Arc::new(salt.extract(master)), clock }
    }

    /// A key for another purpose, such as signing approvals: always the same for the same store and purpose, and
    /// telling nothing about the others.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        expand(&self.master, &[b"purpose/", purpose.as_bytes()])
    }

    /// A new session key.
    pub(crate) fn new_key(&self, session: SessionId, generation: u32) -> SessionKey {
        let mut secret = [0; 32];
        self.clock.fill_random(&mut secret);
        SessionKey::new(session, generation, secret)
    }

    /// A session's key as it is stored.
    pub(crate) fn wrap(&self, key: &SessionKey) -> KeyRow {
        let aad = wrap_aad(key.session, key.generation);
        let wrapped = self.wrapping(key.session).seal(&*self.clock, &aad, &key.secret);
        KeyRow { session: key.session, generation: key.generation, wrapped: Some(wrapped) }
    }

    /// A session's key from how it is stored; `None` once it was dropped.
    pub(crate) fn unwrap(&self, row: &KeyRow) -> Result<Option<SessionKey>, SealError> {
        let Some(wrapped) = &row.wrapped else { return Ok(None) };
        let broken = SealError::Broken { what: "session key" };
        let plain = self.wrapping(row.session).open(&wrap_aad(row.session, row.generation), wrapped.clone());
        let secret = plain.and_then(|plain| <[u8; 32]>::try_from(plain).ok()).ok_or(broken)?;
        Ok(Some(SessionKey::new(row.session, row.generation, secret)))
    }

    /// Seals what belongs to the store rather than to a session's key: mail and control records. Each session, and
    /// each purpose, has its own key, so that no key comes near the number of random nonces that it can bear.
    pub(crate) fn seal(&self, purpose: &'static str, session: SessionId, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        self.own(purpose, session).seal(&*self.clock, aad, plain)
    }

    /// Opens what [`Sealer::seal`] sealed.
    pub(crate) fn open_own(
        &self,
        what: &'static str,
        session: SessionId,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.own(what, session).open(aad, sealed.to_vec()).ok_or(SealError::Broken { what })
    }

    /// Seals under a session's key.
    pub(crate) fn seal_for(&self, key: &SessionKey, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        key.cipher.seal(&*self.clock, aad, plain)
    }

    fn wrapping(&self, session: SessionId) -> Cipher {
        self.own("wrap", session)
    }

    fn own(&self, purpose: &'static str, session: SessionId) -> Cipher {
        let id = session.as_u128().to_be_bytes();
        Cipher::new(&expand(&self.master, &[b"own/", purpose.as_bytes(), b"/", &id]))
    }
}

/// A session's key.
pub struct SessionKey {
    session: SessionId,
    generation: u32,
    secret: [u8; 32],
    cipher: Cipher,
    ids: hmac::Key,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({}, {})", self.session, self.generation)
    }
}

impl SessionKey {
    fn new(session: SessionId, generation: u32, secret: [u8; 32]) -> Self {
        let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &secret);
        let cipher = Cipher::new(&expand(&prk, &[b"seal"]));
        let ids = hmac::Key::new(hmac::HMAC_SHA256, &expand(&prk, &[b"id"]));
        SessionKey { session, generation, secret, cipher, ids }
    }

    /// Whose it is.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// 1 for a session's first key.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Opens what was sealed under this key.
    pub(crate) fn open(&self, what: &'static str, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.open_owned(what, aad, sealed.to_vec())
    }

    /// The same, in place.
    pub(crate) fn open_owned(&self, what: &'static str, aad: &[u8], sealed: Vec<u8>) -> Result<Vec<u8>, SealError> {
        self.cipher.open(aad, sealed).ok_or(SealError::Broken { what })
    }
}

/// The id of a message within its session: the same content has the same id there and tells nothing elsewhere.
pub fn message_id(key: &SessionKey, message: &Message) -> Digest {
    let value = serde_json::to_value(message).expect("a message has only text keys and finite numbers");
    let tag = hmac::sign(&key.ids, domain::canonical::to_string(&value).as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    Digest::from_bytes(out)
}

/// Nonce, ciphertext and tag in one: 28 bytes more than the plain text.
struct Cipher(LessSafeKey);

impl Cipher {
    fn new(key: &[u8; 32]) -> Self {
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has the cipher's length");
        Cipher(LessSafeKey::new(unbound))
    }

    fn seal(&self, clock: &dyn Clock, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        clock.fill_random(&mut nonce);
        let mut out = Vec::with_capacity(NONCE_LEN + plain.len() + CHACHA20_POLY1305.tag_len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut out[NONCE_LEN..])
            .expect("a body is far below the cipher's limit of 256 GiB");
        out.extend_from_slice(tag.as_ref());
        out
    }

    fn open(&self, aad: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = Nonce::try_assume_unique_for_key(sealed.get(..NONCE_LEN)?).ok()?;
        let length = self.0.open_within(nonce, Aad::from(aad), &mut sealed, NONCE_LEN..).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

fn wrap_aad(session: SessionId, generation: u32) -> Vec<u8> {
    format!("ostler/key/{session}/{generation}").into_bytes()
}

fn expand(prk: &hkdf::Prk, info: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    prk.expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut out))
        .expect("32 bytes are what one expansion of SHA-256 gives");
    out
}
