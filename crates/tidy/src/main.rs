//! Prints the figures of the house, and what breaks its rules: `cargo run -p tidy`.

use std::io::Write;
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let tree = tidy::Tree::read()?;
    let listed = tidy::arrows::listed(&tree)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", tidy::report(&tree, &listed))?;
    let findings = tidy::findings(&tree, &listed);
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    writeln!(out, "{} findings", findings.len())?;
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
