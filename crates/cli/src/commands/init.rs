//! `init`, `schema`, `completion`: what a person needs before there is a server.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::CommandFactory;
use domain::id::Name;

use crate::args::{Cli, Format, Global};
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, items};

/// The provider that the template names.
const REAL: &str = "anthropic";

/// Stands in where the server has no such provider, so that what is written runs at once.
const STAND_IN: &str = include_str!("init/stand_in.yaml");

/// Writes a descriptor that runs.
pub(crate) async fn init(global: &Global, name: &Name, file: Option<PathBuf>) -> Outcome {
    let text = descriptor(name, has_real_provider(global).await);
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{name}.yaml")));
    if file.as_os_str() == "-" {
        output::data(&text);
        return Ok(());
    }
    write_new(&file, &text)?;
    let shown = file.display();
    output::talk(&format!("wrote {shown}\nnext: ostler apply -f {shown} && ostler run {name} \"What is 6 * 7?\""));
    Ok(())
}

/// The template, and with it whatever it needs and the server does not have.
fn descriptor(name: &Name, has_real_provider: bool) -> String {
    let template = domain::descriptor::template(name);
    if has_real_provider {
        return template;
    }
    format!("{}\n{STAND_IN}", template.replacen(&format!("provider: {REAL}"), "provider: scripted ", 1))
}

/// Whether a server is there and has the provider that the template names. No server is no error: `init` comes first.
async fn has_real_provider(global: &Global) -> bool {
    let Ok(client) = Client::find(global) else { return false };
    let found = client.get(&format!("/api/resources?kind=ModelProvider&name={REAL}")).await;
    found.is_ok_and(|found| !items(&found).is_empty())
}

fn write_new(file: &Path, text: &str) -> Outcome {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).open(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::Usage(format!("{} is there already: give another --file", file.display())),
        _ => Failure::Failed(anyhow::Error::new(error).context(format!("{} could not be written", file.display()))),
    });
    std::io::Write::write_all(&mut opened?, text.as_bytes())
        .with_context(|| format!("{} could not be written", file.display()))?;
    Ok(())
}

/// Prints the JSON Schema of descriptors.
pub(crate) fn schema(global: &Global) -> Outcome {
    let format = if global.output == Format::Yaml { Format::Yaml } else { Format::Json };
    output::print(format, &domain::descriptor::schema(), |_| String::new())
}

/// Prints a completion script.
pub(crate) fn completion(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ostler", &mut script);
    output::data(&String::from_utf8_lossy(&script));
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::descriptor::{Descriptor, parse_file};

    use super::*;

    #[test]
    fn what_init_writes_names_a_provider_that_is_there() {
        let name: Name = "my-agent".parse().unwrap();
        for (has_real_provider, expected, documents) in [(true, REAL, 1), (false, "scripted", 2)] {
            let text = descriptor(&name, has_real_provider);
            let parsed = parse_file("my-agent.yaml", &text, &|_| None).unwrap_or_else(|wrong| panic!("{wrong:?}"));
            assert_eq!(parsed.len(), documents, "{text}");
            let Some(Descriptor::Agent(agent)) = parsed.first() else { panic!("the agent comes first: {text}") };
            assert_eq!(agent.spec.model.provider.to_string(), expected);
            if let Some(provider) = parsed.get(1) {
                assert_eq!(provider.name().to_string(), expected);
            }
        }
    }
}
