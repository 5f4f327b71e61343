//! The migrations of both engines, side by side: a change of the schema has the same number and the same name in
//! each.

use crate::engine::Engine;
use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

struct Change {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! changes {
    ($($version:literal $name:literal),+ $(,)?) => {
        &[$(Change {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }),+]
    };
}

const CHANGES: &[Change] = changes![
    1 "0001_accounts_events_workspaces",
    2 "0002_documents_jobs",
    3 "0003_provisioning_queue",
    4 "0004_preferences_sessions",
    5 "0005_keys_exports_deletions",
    6 "0006_rag_configs",
    7 "0007_history",
    8 "0008_dead_chunks",
    9 "0009_commands",
    10 "0010_sent_files",
    11 "0011_step_sentences",
    12 "0012_stalls",
    13 "0013_notifications",
    14 "0014_held_back",
    15 "0015_told_ends",
    16 "0016_partial_files",
    17 "0017_controls",
    18 "0018_crawls",
    19 "0019_deleting",
    20 "0020_known_passages",
    21 "0021_versions",
    22 "0022_labels",
    23 "0023_graph",
    24 "0024_chunk_marks",
    25 "0025_retrieval_cases",
    26 "0026_turns",
    27 "0027_resolved_errors",
    28 "0028_chats",
    30 "0030_relays",
    31 "0031_read_chunks",
    32 "0032_activity",
    35 "0035_conversation_events",
    38 "0038_untold_ends",
    40 "0040_turns_of_files",
    41 "0041_deleted_conversations",
    42 "0042_model_dims",
    43 "0043_found_since",
    44 "0044_served",
    45 "0045_upload_metadata",
    46 "0046_page_tries",
    47 "0047_workspace_counts",
    48 "0048_what_has_ended",
];

/// Names the schema of this version.
pub(crate) fn newest() -> i64 {
    CHANGES.last().map_or(0, |change| change.version)
}

/// Those of one engine, in order.
pub(crate) fn of(engine: Engine) -> Migrator {
    let changes = CHANGES.iter().map(|c| {
        let sql = match engine {
            Engine::Sqlite => c.sqlite,
            Engine::Postgres => c.postgres,
        };
        Migration::new(c.version, c.name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(changes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From this one on, servers of the version before go on beside each change; 0006 and 0026 renamed columns that they ask for.
    /// What nobody uses any more may go in a later version than the one that stopped using it: then it is excepted here.
    const ONLY_ADDS: i64 = 27;

    /// Statements that take something away from servers that do not know of them, or have their rows refused.
    fn breaking(sql: &str) -> Vec<String> {
        let code: Vec<&str> =
            sql.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code)).collect();
        let code = code.join(" ").to_uppercase();
        let statements = code.split(';').map(|s| s.split_whitespace().collect::<Vec<_>>().join(" "));
        let breaks = |statement: &String| {
            let has = |words: &str| statement.contains(words);
            let takes = [" RENAME ", " DROP COLUMN ", " SET NOT NULL", " TYPE "].into_iter().any(has);
            let demands = has(" ADD COLUMN ") && has(" NOT NULL") && !has(" DEFAULT ");
            statement.starts_with("DROP TABLE ")
                || (statement.starts_with("ALTER TABLE ") && (takes || demands))
        };
        statements.filter(breaks).collect()
    }

    #[test]
    fn servers_of_the_version_before_can_use_what_each_change_makes() {
        // Only PostgreSQL is shared by servers of two versions.
        for change in CHANGES.iter().filter(|change| change.version >= ONLY_ADDS) {
            let found = breaking(change.postgres);
            assert!(
                found.is_empty(),
                "{}: add now, and take away in a later version: {found:?}",
                change.name
            );
        }
    }

    #[test]
    fn what_takes_something_away_is_found() {
        for sql in [
            "ALTER TABLE jobs\n    RENAME COLUMN a TO b;",
            "alter table jobs drop column a;",
            "ALTER TABLE jobs ALTER COLUMN a TYPE BIGINT;",
            "ALTER TABLE jobs ALTER COLUMN a SET NOT NULL;",
            "ALTER TABLE jobs ADD COLUMN a TEXT NOT NULL;",
            "-- It goes.\nDROP TABLE jobs;",
        ] {
            assert_eq!(breaking(sql).len(), 1, "{sql}");
        }
        for sql in [
            "ALTER TABLE jobs ADD COLUMN a TEXT NOT NULL DEFAULT '';",
            "ALTER TABLE jobs ADD COLUMN a TEXT; -- DROP TABLE jobs;",
            "CREATE TABLE tasks (type TEXT NOT NULL); DROP INDEX old;",
        ] {
            assert!(breaking(sql).is_empty(), "{sql}");
        }
        let renamed = CHANGES.iter().filter(|change| !breaking(change.postgres).is_empty());
        let renamed: Vec<i64> = renamed.map(|change| change.version).collect();
        assert!(renamed.contains(&6) && renamed.contains(&26), "{renamed:?}");
    }
}
