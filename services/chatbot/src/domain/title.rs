//! The title of a conversation that was given none.

/// The longest title made from a question, in characters.
const CHARS: usize = 80;

/// The beginning of the first question, on one line, cut between words.
pub(crate) fn title_of(question: &str, max_chars: usize) -> String {
    let line = question.split_whitespace().collect::<Vec<_>>().join(" ");
    let most = CHARS.min(max_chars);
    if line.chars().count() <= most {
        return line;
    }
    // One character for the dots.
    let cut: String = line.chars().take(most.saturating_sub(1)).collect();
    let whole_words = cut
        .rfind(' ')
        .filter(|at| *at > cut.len() / 2)
        .map_or(cut.as_str(), |at| &cut[..at]);
    format!("{}…", whole_words.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_of_whole_words() {
        assert_eq!(
            title_of("  Qu'est-ce\nqu'un graphe ? ", 200),
            "Qu'est-ce qu'un graphe ?"
        );
        let long = title_of(&"complexité ".repeat(30), 200);
        assert!(
            long.ends_with("complexité…") && long.chars().count() <= 80,
            "{long}"
        );
        assert_eq!(title_of(&"x".repeat(500), 200).chars().count(), 80);
        assert_eq!(title_of("abcdef", 3), "ab…");
    }
}
