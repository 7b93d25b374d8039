//! Signed checkpoints: how large a shard's tree was and its root, as a note that other tools can verify (C2SP
//! tlog-checkpoint and signed-note, Ed25519). It must not know where checkpoints are kept.
//!
//! ```text
//! ostler/STORE/shard/0
//! 1842
//! pP5mT1…=                                  root, base64
//! at 2026-11-22T08:00:00.000Z               extension line: when it was signed
//!
//! — ostler/STORE 2kXw…=                     key id and signature, base64
//! ```

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::clock::{Clock, Timestamp};
use domain::id::{Digest, Shard};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::AuditError;

/// The signature type of Ed25519 (C2SP signed-note).
const ED25519_TYPE: u8 = 1;

/// What was signed: how large a shard's tree was, and its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The shard.
    pub shard: Shard,
    /// How many leaves the tree had: the last position covered.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// When it was signed.
    pub at: String,
    /// The whole note, signature included.
    pub note: String,
}

/// The key that signs checkpoints. It signs nothing else.
pub struct CheckpointKey {
    pair: Ed25519KeyPair,
    seed: [u8; 32],
}

impl std::fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckpointKey")
    }
}

impl CheckpointKey {
    /// The key of a seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("an Ed25519 seed is any 32 bytes");
        CheckpointKey { pair, seed }
    }

    /// The key in a file that only its owner may read; made if there is none.
    pub fn load_or_make(path: &Path, clock: &dyn Clock) -> Result<Self, AuditError> {
        let denied = |error: std::io::Error| AuditError::Denied { path: path.to_owned(), why: error.to_string() };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut seed = [0; 32];
                clock.fill_random(&mut seed);
                let key = Self::from_seed(seed);
                key.write(path).map_err(denied)?;
                return Ok(key);
            }
            Err(error) => return Err(denied(error)),
        };
        let mode = fs::metadata(path).map_err(denied)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AuditError::Exposed { path: path.to_owned(), mode });
        }
        let seed = text.lines().last().and_then(|line| line.parse::<Digest>().ok());
        seed.map(|seed| Self::from_seed(*seed.as_bytes())).ok_or(AuditError::Malformed { path: path.to_owned() })
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "ostler audit key 1: whoever has this file can sign checkpoints of the log")?;
        writeln!(file, "{}", Digest::from_bytes(self.seed))?;
        file.sync_all()?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    /// The key that verifies what this one signs, under a name.
    pub fn verifier(&self, name: &str) -> Verifier {
        let mut public = [0; 32];
        public.copy_from_slice(self.pair.public_key().as_ref());
        Verifier { name: name.to_owned(), public }
    }

    /// Signs the root of a shard's tree.
    pub fn sign(&self, name: &str, shard: Shard, size: u64, root: Digest, at: Timestamp) -> Checkpoint {
        let body = format!("{}\n{size}\n{}\nat {at}\n", origin(name, shard), STANDARD.encode(root.as_bytes()));
        let mut signature = self.verifier(name).key_id().to_vec();
        signature.extend_from_slice(self.pair.sign(body.as_bytes()).as_ref());
        let note = format!("{body}\n— {name} {}\n", STANDARD.encode(signature));
        Checkpoint { shard, size, root, at: at.to_string(), note }
    }
}

/// The origin line of a shard's checkpoints; the control shard's says so.
fn origin(name: &str, shard: Shard) -> String {
    if shard == Shard::CONTROL { format!("{name}/control") } else { format!("{name}/shard/{}", shard.0) }
}

/// A public key with its name. Prints as other tools read it (C2SP signed-note, "verifier key").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    public: [u8; 32],
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.key_id().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let key = [&[ED25519_TYPE], self.public.as_slice()].concat();
        write!(f, "{}+{id}+{}", self.name, STANDARD.encode(key))
    }
}

impl Verifier {
    /// The name under which it signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> [u8; 4] {
        let text = [self.name.as_bytes(), b"\n", &[ED25519_TYPE], &self.public].concat();
        let digest = Digest::of(&text);
        let [a, b, c, d, ..] = *digest.as_bytes();
        [a, b, c, d]
    }

    /// Whether a note carries this key's good signature; its text, if so.
    pub fn text_of<'a>(&self, note: &'a str) -> Option<&'a str> {
        let (text, signatures) = note.rsplit_once("\n\n")?;
        let text = &note[..text.len() + 1];
        let signed = signatures.lines().any(|line| {
            let Some((name, encoded)) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')) else {
                return false;
            };
            let Ok(bytes) = STANDARD.decode(encoded) else { return false };
            let key = UnparsedPublicKey::new(&ED25519, &self.public);
            bytes.split_at_checked(4).is_some_and(|(id, signature)| {
                name == self.name && id == self.key_id() && key.verify(text.as_bytes(), signature).is_ok()
            })
        });
        signed.then_some(text)
    }

    /// Whether a checkpoint is what was signed: a good signature over the same shard, size and root.
    pub fn verifies(&self, checkpoint: &Checkpoint) -> bool {
        let Some(text) = self.text_of(&checkpoint.note) else { return false };
        let mut lines = text.lines();
        let (name, size, root) = (lines.next(), lines.next(), lines.next());
        name == Some(origin(&self.name, checkpoint.shard).as_str())
            && size == Some(checkpoint.size.to_string().as_str())
            && root == Some(STANDARD.encode(checkpoint.root.as_bytes()).as_str())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use domain::clock::{SystemClock, Timestamp};
    use domain::id::{Digest, Shard};

    use super::{CheckpointKey, STANDARD, Verifier};

    #[test]
    fn a_note_that_another_program_signed_verifies() {
        // From the documentation of Go's golang.org/x/mod/sumdb/note.
        let key = STANDARD.decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let verifier = Verifier { name: "PeterNeumann".to_owned(), public: key[1..].try_into().unwrap() };
        assert_eq!(verifier.to_string(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let note = format!(
            "{text}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        );
        assert_eq!(verifier.text_of(&note), Some(text));
        assert_eq!(verifier.text_of(&note.replace("answer", "anwser")), None);
    }

    #[test]
    fn a_checkpoint_verifies_until_anything_of_it_is_changed() {
        let key = CheckpointKey::from_seed([7; 32]);
        let verifier = key.verifier("ostler/abc");
        let signed = key.sign("ostler/abc", Shard(3), 1842, Digest::of(b"root"), Timestamp(0));
        assert!(signed.note.starts_with("ostler/abc/shard/3\n1842\n"), "{}", signed.note);
        assert!(verifier.verifies(&signed));
        let mut other = signed.clone();
        other.size += 1;
        assert!(!verifier.verifies(&other));
        other.note = signed.note.replace("1842", "1843");
        assert!(!verifier.verifies(&other));
        other = signed.clone();
        other.shard = Shard(4);
        assert!(!verifier.verifies(&other));
        assert!(!CheckpointKey::from_seed([8; 32]).verifier("ostler/abc").verifies(&signed));
    }

    #[test]
    fn a_key_file_is_its_owners_only_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let made = CheckpointKey::load_or_make(&path, &SystemClock).unwrap();
        let read = CheckpointKey::load_or_make(&path, &SystemClock).unwrap();
        assert_eq!(made.verifier("x"), read.verifier("x"));
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&path, open).unwrap();
        let refused = CheckpointKey::load_or_make(&path, &SystemClock).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
}
