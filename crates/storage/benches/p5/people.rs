//! The people of a bench and their workspaces. The benches of the queue have the same ones.

use domain::{
    Timestamp, UserId, WorkspaceId, WorkspaceStatus,
    rag::RagConfig,
    status::Processor,
    validate::{Description, Email, Username, WorkspaceName},
};
use measure::Failure;
use services::ports::{NewUser, NewWorkspace};

pub fn new_user(id: UserId, n: usize) -> Result<NewUser, Failure> {
    let invalid = |_| "not a valid user";
    Ok(NewUser {
        id,
        username: Username::parse(&format!("user-{n}")).map_err(invalid)?,
        email: Email::parse(&format!("user-{n}@example.org")).map_err(invalid)?,
        full_name: None,
        password_hash: String::new(),
        created_at: Timestamp::from_micros(1),
    })
}

pub fn new_workspace(id: WorkspaceId, user_id: UserId) -> Result<NewWorkspace, Failure> {
    let invalid = |_| "not a valid workspace";
    Ok(NewWorkspace {
        id,
        user_id,
        name: WorkspaceName::parse("Workspace").map_err(invalid)?,
        description: Description::parse("").map_err(invalid)?,
        status: WorkspaceStatus::Ready,
        processor: Processor::Builtin,
        rag_config: RagConfig::default(),
        command_id: None,
        command_print: None,
        created_at: Timestamp::from_micros(1),
    })
}
