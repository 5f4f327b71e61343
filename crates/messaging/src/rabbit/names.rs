//! Names at the broker. All but the routing keys begin with the name of the exchange, so that several installations can
//! share a broker.

use services::ports::LoggedEvent;

/// What every node of the people's side hears. A contract with whoever listens in.
pub const DOCUMENT_STATUS: &str = "document.status.updated";
pub const WORKSPACE_STATUS: &str = "workspace.status.updated";
pub const JOB_STATUS: &str = "job.status.updated";
pub const FILE_PROGRESS: &str = "file.progress";
pub const SETTINGS_CHANGED: &str = "user.settings.changed";
pub const CONVERSATION: &str = "conversation.status.updated";
pub const SESSION_ENDED: &str = "user.session.ended";
/// Of whatever a newer build tells of, and this one only carries.
pub const OTHER: &str = "user.event.other";
/// For outside workers: a document waits to be processed.
pub const DOCUMENT_UPLOADED: &str = "document.uploaded";
/// From outside workers.
pub const DOCUMENT_REPORT: &str = "document.status.report";
pub const WORKSPACE_REPORT: &str = "workspace.status.report";
/// Between the nodes themselves; no contract.
pub const NODE_SIGNAL: &str = "node.signal";
pub const WORK_READY: &str = "work.ready";

/// The header that says of which log a message tells, by its epoch.
pub const LOG: &str = "x-log";

/// What a node that serves people binds its queue to. In an upgrade newer nodes tell of what this build has no key for, and it
/// is to hear that at once as well: the key of a new event has to be one of these.
pub const FOR_WEB: [&str; 4] = ["*.status.updated", "user.*.*", FILE_PROGRESS, NODE_SIGNAL];
/// What a node binds its queue to that only works.
pub const FOR_WORKERS: [&str; 1] = [NODE_SIGNAL];

/// The routing key of an event of the log.
pub fn key_of(event: &str) -> Option<&'static str> {
    Some(match event {
        "document_status" | "document_deleted" => DOCUMENT_STATUS,
        "workspace_status" | "workspace_deleted" => WORKSPACE_STATUS,
        "job_update" | "job_complete" | "job_error" => JOB_STATUS,
        "file_progress" => FILE_PROGRESS,
        "settings_changed" => SETTINGS_CHANGED,
        "conversation_changed" => CONVERSATION,
        "session_ended" => SESSION_ENDED,
        LoggedEvent::UNKNOWN => OTHER,
        _ => return None,
    })
}

/// What is declared at the broker.
#[derive(Clone, Debug)]
pub struct Names {
    pub exchange: String,
}

impl Names {
    /// Exchange of what nobody could use.
    pub fn dead(&self) -> String {
        format!("{}.dead", self.exchange)
    }

    /// Queue of the reports of outside workers.
    pub fn reports(&self) -> String {
        format!("{}.reports", self.exchange)
    }

    /// Queue of calls to work.
    pub fn work(&self) -> String {
        format!("{}.work", self.exchange)
    }

    /// The own queue of a node.
    pub fn node(&self, node: &str) -> String {
        format!("{}.node.{node}", self.exchange)
    }
}
