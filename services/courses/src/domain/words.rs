//! States that are written as one word: in JSON, in tables, over gRPC.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        $(#[$meta])*
        pub(crate) enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    other => Err(format!("`{other}` is not known")),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// How far a course is.
    #[schema(as = CourseStatus)]
    Status {
        /// Being prepared: only those who teach it see it.
        Draft = "draft",
        /// For those who may read it.
        Published = "published",
        /// Over: only those who taught it see it.
        Archived = "archived",
    }
}

words! {
    /// Whom a published course is for.
    Visibility {
        /// Everybody reads it, and may enrol.
        Open = "open",
        /// Only those who were enrolled read it.
        Closed = "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_everywhere() {
        for status in [Status::Draft, Status::Published, Status::Archived] {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for visibility in [Visibility::Open, Visibility::Closed] {
            assert_eq!(visibility.to_string().parse(), Ok(visibility));
            assert_eq!(
                serde_json::to_value(visibility).unwrap(),
                visibility.as_str()
            );
        }
        assert!("Open".parse::<Visibility>().is_err());
    }
}
