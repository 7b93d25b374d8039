//! The tar of a backup: written in one pass, read in one pass, each file against what the manifest says of it. It must
//! not know what the files are for.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};
use ring::digest;

use super::{BACKUP_FORMAT, Filed, MANIFEST, Manifest};

/// Everything in a tar is in blocks of as many bytes (POSIX.1-2017, pax, "ustar Interchange Format").
const BLOCK: u64 = 512;

/// How many bytes are read at once.
const CHUNK: usize = 256 << 10;

/// The longest manifest that is read, in bytes.
const LONGEST_MANIFEST: u64 = 16 << 20;

/// A file's length and SHA-256.
pub(super) fn hash_of(path: &Path) -> anyhow::Result<(u64, String)> {
    let mut file = File::open(path).with_context(|| format!("{} could not be read", path.display()))?;
    pour(&mut file, &mut io::sink()).with_context(|| format!("{} could not be read", path.display()))
}

/// Reads to the end and writes what was read; its length and SHA-256.
fn pour(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, String)> {
    let (mut hash, mut bytes, mut chunk) = (digest::Context::new(&digest::SHA256), 0, vec![0; CHUNK]);
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            let mut text = String::new();
            hash.finish().as_ref().iter().for_each(|byte| {
                let _ = write!(text, "{byte:02x}");
            });
            return Ok((bytes, text));
        }
        hash.update(&chunk[..read]);
        to.write_all(&chunk[..read])?;
        bytes += read as u64;
    }
}

pub(super) fn manifest_bytes(manifest: &Manifest) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(manifest)?;
    text.push(b'\n');
    Ok(text)
}

/// How long the tar of files of these lengths is: a header each, what fills the last block, and two blocks at the end.
pub(super) fn length(files: impl Iterator<Item = u64>) -> u64 {
    files.map(|bytes| BLOCK + bytes.div_ceil(BLOCK) * BLOCK).sum::<u64>() + 2 * BLOCK
}

/// Writes a backup: the manifest, then the files in its order.
pub(super) fn write(manifest: &Manifest, paths: &[PathBuf], out: impl Write) -> anyhow::Result<()> {
    let text = manifest_bytes(manifest)?;
    let at = manifest.at.0.div_euclid(1000);
    let mut tar = tar::Builder::new(out);
    tar.append_data(&mut header(text.len() as u64, at), MANIFEST, text.as_slice())?;
    for (filed, path) in manifest.files.iter().zip(paths) {
        let file = File::open(path).with_context(|| format!("{} could not be read", path.display()))?;
        tar.append_data(&mut header(filed.bytes, at), &filed.name, file.take(filed.bytes))?;
    }
    tar.into_inner()?.flush()?;
    Ok(())
}

fn header(bytes: u64, at_s: i64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(at_s).unwrap_or(0));
    header
}

/// Reads a backup from its beginning to its end: `put` says where each file goes. Whatever is not as the manifest says
/// is an error; what was written until then is the caller's to throw away.
pub(super) fn read(
    file: &Path,
    mut put: impl FnMut(&Filed) -> anyhow::Result<Box<dyn Write>>,
) -> anyhow::Result<Manifest> {
    let opened = File::open(file).with_context(|| format!("{} could not be opened", file.display()))?;
    let mut tar = tar::Archive::new(BufReader::with_capacity(CHUNK, opened));
    let none = || format!("{} is not a backup of an Ostler", file.display());
    let mut entries = tar.entries().with_context(none)?;
    let first = entries.next().with_context(none)?.with_context(none)?;
    ensure!(first.path().is_ok_and(|path| path == Path::new(MANIFEST)), none());
    let manifest = parse(first).with_context(none)?;
    for filed in &manifest.files {
        let broken = || format!("{} is damaged: {} is not whole in it", file.display(), filed.name);
        let mut entry = entries.next().with_context(broken)?.with_context(broken)?;
        ensure!(entry.path().is_ok_and(|path| path == Path::new(&filed.name)), broken());
        let mut out = put(filed)?;
        let (bytes, sha256) = pour(&mut entry, &mut *out).with_context(broken)?;
        out.flush()?;
        if (bytes, &sha256) != (filed.bytes, &filed.sha256) {
            bail!("{} is damaged: {} is not what was backed up (its SHA-256 differs)", file.display(), filed.name);
        }
    }
    ensure!(entries.next().is_none(), "{} holds more than its manifest names", file.display());
    Ok(manifest)
}

fn parse(entry: impl Read) -> anyhow::Result<Manifest> {
    let value: serde_json::Value = serde_json::from_reader(entry.take(LONGEST_MANIFEST))?;
    let version = value["ostler_backup"].as_u64().context("its manifest says no format")?;
    ensure!(version <= u64::from(BACKUP_FORMAT), "a newer Ostler wrote it (format {version}): use that one");
    let manifest: Manifest = serde_json::from_value(value)?;
    for Filed { name, .. } in &manifest.files {
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(plain && !name.is_empty(), "its manifest names {name:?}, which leads elsewhere");
    }
    Ok(manifest)
}

/// Reads a backup and compares everything in it with its manifest.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub fn check(file: &Path) -> anyhow::Result<Manifest> {
    read(file, |_| Ok(Box::new(io::sink())))
}
