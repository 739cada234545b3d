//! The files that declare settings: their doc comments are what `riwaq config` prints.

use riwaq_kit::config::ConfigDocs;

/// The crate, as the types of fields name it, and a file of it.
const SOURCES: &[(&str, &str)] = &[
    ("riwaq", include_str!("mod.rs")),
    ("riwaq", include_str!("adapters.rs")),
    (
        "riwaq_kit",
        include_str!("../../../../crates/kit/src/service/config.rs"),
    ),
    (
        "riwaq_kit",
        include_str!("../../../../crates/kit/src/telemetry/config.rs"),
    ),
    (
        "riwaq_identity",
        include_str!("../../../../crates/identity/src/config.rs"),
    ),
    (
        "riwaq_gateway",
        include_str!("../../../gateway/src/config.rs"),
    ),
    ("riwaq_auth", include_str!("../../../auth/src/config.rs")),
    ("riwaq_users", include_str!("../../../users/src/config.rs")),
    (
        "riwaq_courses",
        include_str!("../../../courses/src/config.rs"),
    ),
    ("riwaq_files", include_str!("../../../files/src/config.rs")),
    (
        "riwaq_search",
        include_str!("../../../search/src/config.rs"),
    ),
    (
        "riwaq_chatbot",
        include_str!("../../../chatbot/src/config.rs"),
    ),
    (
        "riwaq_aggregates",
        include_str!("../../../../crates/aggregates/src/options.rs"),
    ),
    (
        "riwaq_extraction",
        include_str!("../../../../crates/extraction/src/config.rs"),
    ),
    (
        "riwaq_records_sqlite",
        include_str!("../../../../crates/adapters/records-sqlite/src/config.rs"),
    ),
    (
        "riwaq_records_cassandra",
        include_str!("../../../../crates/adapters/records-cassandra/src/config.rs"),
    ),
    (
        "riwaq_blobs_fs",
        include_str!("../../../../crates/adapters/blobs-fs/src/config.rs"),
    ),
    (
        "riwaq_index_tantivy",
        include_str!("../../../../crates/adapters/index-tantivy/src/config.rs"),
    ),
    (
        "riwaq_directory_local",
        include_str!("../../../../crates/adapters/directory-local/src/config.rs"),
    ),
    (
        "riwaq_mail_smtp",
        include_str!("../../../../crates/adapters/mail-smtp/src/config.rs"),
    ),
    (
        "riwaq_mail_folder",
        include_str!("../../../../crates/adapters/mail-folder/src/lib.rs"),
    ),
    (
        "riwaq_events_sqlite",
        include_str!("../../../../crates/adapters/events-sqlite/src/lib.rs"),
    ),
    (
        "riwaq_index_opensearch",
        include_str!("../../../../crates/adapters/index-opensearch/src/config.rs"),
    ),
    (
        "riwaq_blobs_s3",
        include_str!("../../../../crates/adapters/blobs-s3/src/config.rs"),
    ),
    (
        "riwaq_events_rabbitmq",
        include_str!("../../../../crates/adapters/events-rabbitmq/src/config.rs"),
    ),
    (
        "riwaq_directory_keycloak",
        include_str!("../../../../crates/adapters/directory-keycloak/src/config.rs"),
    ),
];

/// What every setting means.
pub(super) fn docs() -> ConfigDocs {
    SOURCES
        .iter()
        .fold(ConfigDocs::new(), |docs, (krate, text)| {
            docs.source(krate, text)
        })
}
