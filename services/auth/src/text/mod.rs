//! Everything that people read: pages and mails, in French, Arabic and English.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value, context};
use riwaq_kit::{ApiResult, Locale, Problem};

const CATALOGUES: [(Locale, &str); 3] = [
    (Locale::Fr, include_str!("fr.json")),
    (Locale::Ar, include_str!("ar.json")),
    (Locale::En, include_str!("en.json")),
];

const TEMPLATES: [(&str, &str); 8] = [
    ("layout.html", include_str!("../templates/layout.html")),
    ("sign_in.html", include_str!("../templates/sign_in.html")),
    ("password.html", include_str!("../templates/password.html")),
    ("forgot.html", include_str!("../templates/forgot.html")),
    ("sign_out.html", include_str!("../templates/sign_out.html")),
    ("message.html", include_str!("../templates/message.html")),
    ("mail.html", include_str!("../templates/mail.html")),
    ("mail.txt", include_str!("../templates/mail.txt")),
];

/// Phrases and templates, read once.
pub(crate) struct Texts {
    phrases: BTreeMap<Locale, BTreeMap<String, String>>,
    /// The same for templates: cheap to hand over.
    filled: BTreeMap<Locale, Value>,
    templates: Environment<'static>,
}

/// What a mail is filled with.
pub(crate) struct MailText<'a> {
    pub(crate) school: &'a str,
    pub(crate) name: &'a str,
    pub(crate) link: &'a str,
    /// Until when the link is good; none where it is good for ever.
    pub(crate) valid_until: Option<String>,
}

/// A mail, ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenMail {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Texts {
    /// Reads what is compiled in.
    pub(crate) fn new() -> ApiResult<Self> {
        let mut phrases = BTreeMap::new();
        let mut filled = BTreeMap::new();
        for (locale, json) in CATALOGUES {
            let read: BTreeMap<String, String> =
                serde_json::from_str(json).map_err(Problem::internal)?;
            filled.insert(locale, Value::from(read.clone()));
            phrases.insert(locale, read);
        }
        let mut templates = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        templates.set_syntax(syntax.map_err(Problem::internal)?);
        for (name, source) in TEMPLATES {
            templates
                .add_template(name, source)
                .map_err(Problem::internal)?;
        }
        Ok(Self {
            phrases,
            filled,
            templates,
        })
    }

    /// A phrase. Its key where there is none, which a test rules out.
    pub(crate) fn phrase<'a>(&'a self, locale: Locale, key: &'a str) -> &'a str {
        self.phrases
            .get(&locale)
            .and_then(|phrases| phrases.get(key))
            .map_or(key, String::as_str)
    }

    /// A page.
    pub(crate) fn page(
        &self,
        template: &str,
        locale: Locale,
        school: &str,
        fill: Value,
    ) -> ApiResult<String> {
        let template = self
            .templates
            .get_template(template)
            .map_err(Problem::internal)?;
        let languages: Vec<Value> = Locale::ALL
            .iter()
            .map(|locale| context! { tag => locale.tag(), name => locale.name(), dir => locale.direction() })
            .collect();
        let all = context! {
            lang => locale.tag(),
            dir => locale.direction(),
            school => school,
            languages => languages,
            t => self.filled.get(&locale).cloned(),
            ..fill
        };
        template.render(all).map_err(Problem::internal)
    }

    /// A mail: phrases under `mail.KIND.`.
    pub(crate) fn mail(
        &self,
        kind: &str,
        locale: Locale,
        fill: &MailText<'_>,
    ) -> ApiResult<WrittenMail> {
        let phrase = |part: &str| {
            let key = format!("mail.{kind}.{part}");
            self.phrase(locale, &key).replace("{school}", fill.school)
        };
        let greeting = self
            .phrase(locale, "mail.greeting")
            .replace("{name}", fill.name);
        let validity = fill.valid_until.as_ref().map(|until| {
            self.phrase(locale, "mail.valid_until")
                .replace("{until}", until)
        });
        let all = context! {
            lang => locale.tag(),
            dir => locale.direction(),
            school => fill.school,
            link => fill.link,
            greeting => greeting,
            subject => phrase("subject"),
            intro => phrase("intro"),
            button => phrase("button"),
            ignore => phrase("ignore"),
            validity => validity,
        };
        let render = |name: &str| {
            let template = self
                .templates
                .get_template(name)
                .map_err(Problem::internal)?;
            template.render(&all).map_err(Problem::internal)
        };
        Ok(WrittenMail {
            subject: phrase("subject"),
            text: render("mail.txt")?,
            html: render("mail.html")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_every_phrase_and_its_places_to_fill() {
        let texts = Texts::new().unwrap();
        let reference = &texts.phrases[&Locale::Fr];
        let places = |text: &str| {
            let mut found: Vec<&str> = text
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split('}').next())
                .collect();
            found.sort_unstable();
            found.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        for locale in Locale::ALL {
            let phrases = &texts.phrases[&locale];
            assert!(phrases.keys().eq(reference.keys()), "{locale:?}");
            for (key, text) in phrases {
                assert!(!text.trim().is_empty(), "{locale:?} {key}");
                assert_eq!(places(text), places(&reference[key]), "{locale:?} {key}");
            }
        }
    }

    /// Phrases are asked for by names in templates: a misspelt one would be empty.
    #[test]
    fn templates_name_only_phrases_that_exist() {
        let texts = Texts::new().unwrap();
        let phrases = &texts.phrases[&Locale::Fr];
        for (name, source) in TEMPLATES {
            for part in source.split("t['").skip(1) {
                let key = part.split('\'').next().unwrap();
                assert!(phrases.contains_key(key), "{name}: {key}");
            }
        }
    }

    #[test]
    fn a_mail_is_filled_and_escapes_what_people_chose() {
        let texts = Texts::new().unwrap();
        for locale in Locale::ALL {
            for kind in ["activation", "reset", "already_registered"] {
                let fill = MailText {
                    school: "École <b>",
                    name: "Zoé <script>",
                    link: "https://riwaq.example/auth/activate?token=abc",
                    valid_until: Some("2026-11-28 14:05 UTC".to_owned()),
                };
                let mail = texts.mail(kind, locale, &fill).unwrap();
                assert!(mail.subject.contains("École <b>"), "{}", mail.subject);
                assert!(
                    mail.text
                        .contains("https://riwaq.example/auth/activate?token=abc")
                );
                assert!(mail.text.contains("Zoé <script>") && mail.text.contains("2026-11-28"));
                assert!(
                    !mail.html.contains("<script>") && mail.html.contains("Zoé &lt;script&gt;")
                );
                assert!(
                    mail.html
                        .contains(&format!("dir=\"{}\"", locale.direction()))
                );
                assert!(
                    !mail.text.contains('{') && !mail.html.contains("{"),
                    "{}",
                    mail.html
                );
            }
        }
    }
}
