//! What is excused. The list starts empty and may only shrink: an exception that is no longer needed is a finding.

use crate::finding::Finding;

/// One rule that one file may break.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    /// The rule's word.
    pub rule: &'static str,
    /// The file.
    pub path: &'static str,
    /// Why it has to be.
    pub reason: &'static str,
}

/// The list.
pub const EXCEPTIONS: [Exception; 0] = [];

/// What is left of the findings of all rules, and the exceptions that excuse nothing.
pub fn unexcused(findings: Vec<Finding>, exceptions: &[Exception]) -> Vec<Finding> {
    let covers =
        |exception: &Exception, finding: &Finding| exception.rule == finding.rule && exception.path == finding.path;
    let idle = exceptions.iter().filter(|exception| !findings.iter().any(|finding| covers(exception, finding)));
    let idle: Vec<Finding> = idle
        .map(|exception| {
            Finding::new("exceptions", exception.path, 0, format!("`{}` excuses nothing: remove it", exception.rule))
        })
        .collect();
    let kept = findings.into_iter().filter(|finding| !exceptions.iter().any(|exception| covers(exception, finding)));
    kept.chain(idle).collect()
}
