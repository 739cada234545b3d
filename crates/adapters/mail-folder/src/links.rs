//! The links in a mail, so that a developer (and a test) can follow them.

/// Every `http` and `https` address, each once: those of the text, then those only in the HTML.
pub(crate) fn links(text: &str, html: Option<&str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let in_html = html.map(attributes).unwrap_or_default();
    for link in in_text(text).chain(in_html) {
        if !found.contains(&link) {
            found.push(link);
        }
    }
    found
}

/// Addresses end at white space, quotes and angle brackets; punctuation of the sentence around
/// them does not belong to them.
fn in_text(text: &str) -> impl Iterator<Item = String> + '_ {
    let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\u{ab}' | '\u{bb}');
    text.split(ends).filter_map(|word| {
        let start = word.find("https://").or_else(|| word.find("http://"))?;
        let link = word[start..].trim_end_matches([
            '.', ',', ';', ':', '!', '?', '\'', ')', ']', '\u{61f}', '\u{60c}',
        ]);
        Some(link.to_owned())
    })
}

/// The values of `href` in HTML that we wrote ourselves: quoted, with the five entities of XML.
fn attributes(html: &str) -> Vec<String> {
    let values = html.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let value = rest[1..].split(quote).next()?;
        (value.starts_with("http://") || value.starts_with("https://")).then(|| unescape(value))
    });
    values.collect()
}

fn unescape(value: &str) -> String {
    // `&amp;` last: `&amp;lt;` is the text `&lt;`.
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x3D;", "="),
        ("&#x2f;", "/"),
    ];
    let unescaped = entities.iter().fold(value.to_owned(), |text, (entity, c)| {
        text.replace(entity, c)
    });
    unescaped.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_once_without_the_sentence_around_them() {
        let text = "Go to https://r.example/a?token=x.y-z_. Or (http://r.example/b), then «https://r.example/a?token=x.y-z_»!";
        let html = "<a href=\"https://r.example/a?token=x.y-z_\">a</a><a href='https://r.example/c?x=1&amp;y=2'>c</a>
            <a href=\"mailto:x@y\">m</a>";
        assert_eq!(
            links(text, Some(html)),
            [
                "https://r.example/a?token=x.y-z_",
                "http://r.example/b",
                "https://r.example/c?x=1&y=2"
            ]
        );
    }

    #[test]
    fn a_text_without_links_has_none() {
        assert!(links("Nothing here. http:/ https:", None).is_empty());
    }
}
