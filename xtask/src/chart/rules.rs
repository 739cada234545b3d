//! What this house asks of every manifest, beyond what an API server would refuse.

mod arrows;
mod pods;

use super::arrows::Arrows;
use super::render::Document;

/// What is wrong, each in a sentence.
pub(crate) fn check(documents: &[Document], program: &Arrows) -> Vec<String> {
    let mut findings = pods::findings(documents);
    findings.extend(arrows::findings(documents, program));
    for document in documents.iter().filter(|one| one.kind() == "Secret") {
        findings.push(format!(
            "{} is a Secret: secrets are made by whoever installs",
            document.name()
        ));
    }
    findings
}
