//! Where the log is, as a person names it. A password never stays among the arguments, which everybody on the machine
//! sees.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use server::config::StoreUrl;

use crate::client::{Failure, Outcome};

const ARGUMENT: &str = "--store";
const VARIABLE: &str = "OSTLER_STORE";

/// The store's URL; an empty one is none. Where it was given among the arguments with a password, this process starts
/// anew under the same pid, with the URL in its environment, which only its owner sees.
pub(crate) fn named(url: Option<&str>) -> Outcome<Option<StoreUrl>> {
    let Some(text) = url.filter(|url| !url.is_empty()) else { return Ok(None) };
    let url: StoreUrl = text.parse().map_err(|error| Failure::Usage(format!("{error}")))?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let kept = without_store(&arguments);
    if url.has_password() && kept.len() < arguments.len() {
        let this = std::env::current_exe().map_err(|error| anyhow::anyhow!("this program cannot be found: {error}"))?;
        let error = Command::new(this).args(kept).env(VARIABLE, text).exec();
        return Err(
            anyhow::anyhow!("this program could not be started anew: {error}; give the URL in {VARIABLE}").into()
        );
    }
    Ok(Some(url))
}

/// The arguments but for the store's.
fn without_store(arguments: &[OsString]) -> Vec<OsString> {
    let with_value = format!("{ARGUMENT}=");
    let mut kept = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == ARGUMENT {
            rest.next();
        } else if !argument.to_string_lossy().starts_with(&with_value) {
            kept.push(argument.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::without_store;

    #[test]
    fn the_url_is_taken_out_of_the_arguments() {
        let arguments = |words: &str| -> Vec<OsString> { words.split(' ').map(OsString::from).collect() };
        assert_eq!(without_store(&arguments("up --store postgres://a:b@c/d --data x")), arguments("up --data x"));
        assert_eq!(without_store(&arguments("up --store=postgres://a:b@c/d")), arguments("up"));
        assert_eq!(without_store(&arguments("up --data x")), arguments("up --data x"));
    }
}
