//! The house's sizes: files mostly under 400 lines, functions under 60.
//!
//! What is past them is listed, for eyes; what is far past them fails.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::{paths, process};

/// Aims, and what CI refuses.
const FILE_LINES: (usize, usize) = (400, 700);
const FUNCTION_LINES: (usize, usize) = (60, 120);

struct Finding {
    lines: usize,
    place: String,
    refused: bool,
}

/// Lists what is past the aims; fails where the limit is passed.
pub(crate) fn check() -> Result<()> {
    let listed = process::output(Command::new("git").current_dir(paths::root()).args([
        "ls-files",
        "-co",
        "--exclude-standard",
        "*.rs",
    ]))?;
    let mut findings = Vec::new();
    let mut files = 0;
    for name in listed.lines() {
        let path = paths::root().join(name);
        if path.exists() {
            files += 1;
            measure(name, &path, &mut findings)?;
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.lines));
    for finding in &findings {
        let word = if finding.refused { "REFUSED" } else { "large" };
        println!("{word:8} {:5}  {}", finding.lines, finding.place);
    }
    println!("sizes: {files} files, {} past the aims", findings.len());
    if findings.iter().any(|finding| finding.refused) {
        bail!(
            "files of more than {} or functions of more than {} lines",
            FILE_LINES.1,
            FUNCTION_LINES.1
        );
    }
    Ok(())
}

fn measure(name: &str, path: &Path, findings: &mut Vec<Finding>) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let lines = text.lines().count();
    if lines > FILE_LINES.0 {
        findings.push(Finding {
            lines,
            place: name.into(),
            refused: lines > FILE_LINES.1,
        });
    }
    let file = syn::parse_file(&text).with_context(|| format!("cannot parse {name}"))?;
    Functions { name, findings }.visit_file(&file);
    Ok(())
}

struct Functions<'a> {
    name: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Functions<'_> {
    fn note(&mut self, function: &syn::Ident, span: proc_macro2::Span) {
        let lines = span.end().line - span.start().line + 1;
        if lines > FUNCTION_LINES.0 {
            let place = format!("{}:{} fn {function}", self.name, span.start().line);
            self.findings.push(Finding {
                lines,
                place,
                refused: lines > FUNCTION_LINES.1,
            });
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.sig.ident, item.block.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig.ident, item.block.span());
        visit::visit_impl_item_fn(self, item);
    }
}
