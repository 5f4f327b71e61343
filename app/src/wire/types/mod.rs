//! How each type comes out of JSON: field by field, by hand. What serde derives does the same in ten times the code,
//! since it makes a state machine of every type; it reads on the server, and in the tests here, which hold the two
//! against each other. A field that is forgotten here does not compile. Here are plain values, in the files beside what
//! has fields.

use super::FromJson;
use domain::{
    ApiKeyId, BulkId, ChunkId, DocumentId, DocumentStatus, Epoch, ExportId, FieldErrors, JobId, JobKind,
    JobStatus, PhaseName, SessionId, Step, Timestamp, TurnId, UserId, WorkspaceId, WorkspaceStatus,
    api_key::Scope,
    bulk::{BulkAction, BulkStatus},
    chat::{ConversationChange, ConversationId},
    crawl::{Change, PageState},
    event::StepStatus,
    export::ExportStatus,
    provision::{ProvisionStatus, ProvisionStep},
    rag::{ChunkingStrategy, ModelState, Provider, RerankModel, RetrieverType},
    resource::{Density, Language, Page, Theme, VersionState},
    status::{Halt, JobRequest, PhaseStatus, Priority, Processor},
};
use litemap::LiteMap;
use serde_json::Value;

static NOTHING: Value = Value::Null;

/// A field of an object; what is not there reads as null.
#[inline(never)]
fn part<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.as_object().and_then(|fields| fields.get(name)).unwrap_or(&NOTHING)
}

fn at<T: FromJson>(value: &Value, name: &str) -> Option<T> {
    T::from_json(part(value, name))
}

fn at_or<T: FromJson>(value: &Value, name: &str, otherwise: T) -> Option<T> {
    let value = part(value, name);
    if value.is_null() { Some(otherwise) } else { T::from_json(value) }
}

macro_rules! field {
    ($value:ident $field:ident) => {
        at($value, stringify!($field))?
    };
    ($value:ident $field:ident = $name:literal) => {
        at($value, $name)?
    };
    // Was not always there.
    ($value:ident $field:ident or $otherwise:expr) => {
        at_or($value, stringify!($field), $otherwise)?
    };
}

macro_rules! objects {
    ($($type:ty { $($field:ident $(= $name:literal)? $(or $otherwise:expr)?),+ $(,)? })+) => {$(
        impl FromJson for $type {
            fn from_json(value: &Value) -> Option<Self> {
                Some(Self { $($field: field!(value $field $(= $name)? $(or $otherwise)?)),+ })
            }
        }
    )+};
}

/// Types with a text that names each of their values.
macro_rules! named {
    ($($type:ty)+) => {$(
        impl FromJson for $type {
            fn from_json(value: &Value) -> Option<Self> {
                value.as_str()?.parse().ok()
            }
        }
    )+};
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl FromJson for $type {
            fn from_json(value: &Value) -> Option<Self> {
                value.as_u64()?.try_into().ok()
            }
        }
    )+};
}

// The types by the pages that read them, after the macros that these files are written with.
mod account;
mod chat;
mod documents;
mod history;
mod jobs;
mod rag;
mod shell;
#[cfg(test)]
mod tests;
mod workspaces;

named! {
    ApiKeyId BulkId ChunkId ConversationId DocumentId ExportId JobId SessionId TurnId UserId WorkspaceId
    DocumentStatus Halt JobKind JobRequest JobStatus PhaseName PhaseStatus Priority Processor StepStatus WorkspaceStatus
    BulkAction BulkStatus ConversationChange ExportStatus ProvisionStatus ProvisionStep Scope
    Change PageState VersionState
    Density Language Theme
    ChunkingStrategy ModelState Provider RerankModel RetrieverType
}

numbers! { u16 u32 u64 }

impl<T: FromJson> FromJson for Page<T> {
    fn from_json(value: &Value) -> Option<Self> {
        Some(Self { items: at(value, "items")?, next: at(value, "next")? })
    }
}

impl FromJson for Epoch {
    fn from_json(value: &Value) -> Option<Self> {
        String::from_json(value).map(Self)
    }
}

impl FromJson for Timestamp {
    fn from_json(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

impl FromJson for Step {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

impl FromJson for FieldErrors {
    fn from_json(value: &Value) -> Option<Self> {
        let mut errors = Self::default();
        for (field, messages) in value.as_object()? {
            Vec::<String>::from_json(messages)?.into_iter().for_each(|message| errors.add(field, message));
        }
        Some(errors)
    }
}

impl FromJson for LiteMap<String, String> {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_object()?.iter().map(|(key, value)| Some((key.clone(), String::from_json(value)?))).collect()
    }
}

impl FromJson for Value {
    fn from_json(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl FromJson for () {
    fn from_json(_: &Value) -> Option<Self> {
        Some(())
    }
}

impl FromJson for bool {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl FromJson for f64 {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl FromJson for String {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::from_json(value).map(Some) }
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_json).collect()
    }
}

impl<A: FromJson, B: FromJson> FromJson for (A, B) {
    fn from_json(value: &Value) -> Option<Self> {
        Some((A::from_json(value.get(0)?)?, B::from_json(value.get(1)?)?))
    }
}

impl<A: FromJson, B: FromJson, C: FromJson> FromJson for (A, B, C) {
    fn from_json(value: &Value) -> Option<Self> {
        Some((A::from_json(value.get(0)?)?, B::from_json(value.get(1)?)?, C::from_json(value.get(2)?)?))
    }
}

/// As serde writes it.
impl<T: FromJson, E: FromJson> FromJson for Result<T, E> {
    fn from_json(value: &Value) -> Option<Self> {
        match part(value, "Ok") {
            Value::Null if !part(value, "Err").is_null() => at(value, "Err").map(Err),
            _ => at(value, "Ok").map(Ok),
        }
    }
}
