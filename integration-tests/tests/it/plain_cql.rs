//! What an operator finds in `cqlsh`: after real work, typed and named columns with the values in them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use riwaq_integration_tests::{School, World};
use riwaq_test_kit::{Backend, cassandra};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Statement;
use scylla::value::CqlTimestamp;
use serde_json::Value;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_reads_the_tables_with_plain_cql() -> Result<()> {
    let _machine = crate::machine::shared().await;
    let Backend::Ready(address) = cassandra() else {
        return Ok(());
    };
    let keyspace = format!("plain_{}", &Uuid::new_v4().simple().to_string()[..12]);
    let world = World::with_records_at(&[
        ("RECORDS_CASSANDRA_CONTACT_POINTS", &address),
        ("RECORDS_CASSANDRA_USER", "cassandra"),
        ("RECORDS_CASSANDRA_PASSWORD", "cassandra"),
        ("RECORDS_CASSANDRA_KEYSPACE", &keyspace),
        ("RECORDS_CASSANDRA_REQUEST_TIMEOUT_MS", "20000"),
    ])
    .await?;
    let school = School::open(&world).await?;
    let course = school.course("Réseaux et شبكات").await?;
    school.publish(&course.id).await?;
    school.enrol_student(&course.id).await?;
    let course: Uuid = course.id.parse()?;

    let cql = Cql::open(&address, &keyspace).await?;
    cql.columns_are_typed_and_named().await?;
    cql.versions_of_the_course_can_be_read(course, &school)
        .await?;
    cql.enrolments_can_be_read(course, &school).await?;
    world.end().await?;
    cql.drop_keyspace().await
}

/// A session that knows nothing of the program.
struct Cql {
    session: Session,
    keyspace: String,
}

impl Cql {
    async fn open(address: &str, keyspace: &str) -> Result<Self> {
        let session = SessionBuilder::new()
            .known_node(address)
            .user("cassandra", "cassandra")
            .use_keyspace(keyspace, false)
            .build()
            .await?;
        Ok(Self {
            session,
            keyspace: keyspace.to_owned(),
        })
    }

    async fn columns_are_typed_and_named(&self) -> Result<()> {
        let select = "SELECT table_name, column_name, kind, type FROM system_schema.columns \
                      WHERE keyspace_name = ?";
        let rows = self
            .session
            .query_unpaged(select, (&self.keyspace,))
            .await?
            .into_rows_result()?;
        let mut tables: BTreeMap<String, BTreeMap<String, (String, String)>> = BTreeMap::new();
        for row in rows.rows::<(String, String, String, String)>()? {
            let (table, column, kind, cql_type) = row?;
            tables
                .entry(table)
                .or_default()
                .insert(column, (kind, cql_type));
        }
        // Every service's tables, none of them one blob under one key.
        ensure!(tables.len() > 30, "only {:?}", tables.keys());
        for (table, columns) in &tables {
            ensure!(columns.len() > 1, "{table} has only {columns:?}");
            for (column, (_, cql_type)) in columns {
                let known = [
                    "uuid",
                    "text",
                    "timestamp",
                    "bigint",
                    "boolean",
                    "double",
                    "blob",
                ];
                ensure!(
                    known.contains(&cql_type.as_str()),
                    "{table}.{column} is {cql_type}"
                );
            }
        }
        let expected = [
            ("course_versions", "course_id", "partition_key", "uuid"),
            ("course_versions", "version", "clustering", "bigint"),
            ("course_versions", "changed_at", "regular", "timestamp"),
            ("course_versions", "actor_id", "regular", "uuid"),
            ("course_versions", "change", "regular", "text"),
            ("course_versions", "title", "regular", "text"),
            ("course_versions", "deleted", "regular", "boolean"),
            ("course_versions", "op_id", "regular", "uuid"),
            ("enrolment_versions", "user_id", "partition_key", "uuid"),
            ("course_heads", "version", "regular", "bigint"),
            ("courses_by_person", "relation", "clustering", "text"),
            ("outbox", "intended_at", "regular", "timestamp"),
        ];
        for (table, column, kind, cql_type) in expected {
            let found = tables.get(table).and_then(|columns| columns.get(column));
            ensure!(
                found == Some(&(kind.to_owned(), cql_type.to_owned())),
                "{table}.{column} is {found:?}, not {kind} {cql_type}"
            );
        }
        Ok(())
    }

    /// The driver refuses a column that is not of the type that is asked for here.
    async fn versions_of_the_course_can_be_read(
        &self,
        course: Uuid,
        school: &School,
    ) -> Result<()> {
        type Row = (
            i64,
            CqlTimestamp,
            Option<Uuid>,
            String,
            String,
            String,
            bool,
            Uuid,
            String,
        );
        let select = "SELECT version, changed_at, actor_id, change, title, status, deleted, op_id, state \
                      FROM course_versions WHERE course_id = ?";
        let rows = self
            .session
            .query_unpaged(select, (course,))
            .await?
            .into_rows_result()?;
        let rows = rows.rows::<Row>()?.collect::<Result<Vec<_>, _>>()?;
        let teacher: Uuid = school.teacher_account.id.parse()?;
        ensure!(rows.len() >= 2, "created and published: {rows:?}");
        let mut later = i64::MAX;
        for (at, row) in rows.iter().enumerate() {
            let (version, CqlTimestamp(changed_at), actor, change, title, _, deleted, op_id, state) =
                row;
            // Newest first, without a gap.
            ensure!(*version == i64::try_from(rows.len() - at)?, "{rows:?}");
            ensure!(
                *changed_at < later && *changed_at > 1_600_000_000_000,
                "{rows:?}"
            );
            later = *changed_at;
            ensure!(*actor == Some(teacher), "{rows:?}");
            ensure!(
                !change.is_empty() && !*deleted && !op_id.is_nil(),
                "{rows:?}"
            );
            ensure!(title == "Réseaux et شبكات", "{rows:?}");
            let state: Value = serde_json::from_str(state).context("state")?;
            ensure!(state.is_object(), "{state}");
        }
        ensure!(rows[0].5 == "published" && rows[rows.len() - 1].5 != "published");
        Ok(())
    }

    async fn enrolments_can_be_read(&self, course: Uuid, school: &School) -> Result<()> {
        let student: Uuid = school.student_account.id.parse()?;
        let select = "SELECT version, active FROM enrolment_versions \
                      WHERE course_id = ? AND user_id = ?";
        let rows = self
            .session
            .query_unpaged(select, (course, student))
            .await?
            .into_rows_result()?;
        let found = rows.rows::<(i64, bool)>()?.collect::<Result<Vec<_>, _>>()?;
        ensure!(found == [(1, true)], "{found:?}");
        let select = "SELECT course_id, relation FROM courses_by_person WHERE user_id = ?";
        let rows = self
            .session
            .query_unpaged(select, (student,))
            .await?
            .into_rows_result()?;
        let found = rows
            .rows::<(Uuid, String)>()?
            .collect::<Result<Vec<_>, _>>()?;
        ensure!(found == [(course, "enrolled".to_owned())], "{found:?}");
        Ok(())
    }

    async fn drop_keyspace(&self) -> Result<()> {
        let mut drop = Statement::new(format!("DROP KEYSPACE {}", self.keyspace));
        drop.set_request_timeout(Some(Duration::from_secs(60)));
        self.session.query_unpaged(drop, ()).await?;
        Ok(())
    }
}
