//! What this house asks of every manifest, beyond what an API server would refuse.

mod arrows;
mod edge;
mod pods;

use super::arrows::Arrows;
use super::render::Document;

/// What is wrong, each in a sentence. Servers that are not ours may write beside their data.
pub(crate) fn check(documents: &[Document], program: &Arrows, is_ours: bool) -> Vec<String> {
    let mut findings = pods::findings(documents, is_ours);
    findings.extend(arrows::findings(documents, program));
    findings.extend(edge::findings(documents));
    for document in documents.iter().filter(|one| one.kind() == "Secret") {
        findings.push(format!(
            "{} is a Secret: secrets are made by whoever installs",
            document.name()
        ));
    }
    findings
}
