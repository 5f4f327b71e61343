//! What every page has: its frame, what became of a form, and a refusal.

use super::{FromJson, at, at_or};
use crate::{forms::FormState, server_fns::shell::AwayNote};
use domain::{
    FieldErrors, Problem,
    pages::{Shell, Since},
};
use serde_json::Value;

objects! {
    Since { epoch, seq }
    Shell { since, user, workspaces, jobs, max_file_bytes }
    AwayNote { text, failed, to }

    Problem {
        kind = "type",
        title,
        status,
        detail,
        code,
        errors or FieldErrors::default(),
        allowed,
        retry_after,
        correlation_id,
    }
    FormState { values, errors, message, said }
}
