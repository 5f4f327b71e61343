//! Asks the question of a turn once more, in its place.

use super::Asked;
use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{TurnId, WorkspaceId};
use leptos::prelude::*;

/// `without`: a language model answers out of what it knows. `workspace` and `conversation`: whose page it leads back to
/// without a script.
#[server(prefix = "/_fn", endpoint = "chat/again", output = Answer)]
pub async fn ask_again(
    id: TurnId,
    workspace: WorkspaceId,
    #[server(default)] conversation: String,
    #[server(default)] without: bool,
) -> Result<Wire<Asked>, AppError> {
    use crate::{paths, ssr};
    let (services, who) = ssr::signed_in()?;
    let page = paths::chat(workspace, &conversation);
    let asked = match services.ask_again(who.user.id, id, without, None).await {
        Ok(turn) => super::asked(&services, turn).await,
        Err(e) => Err(e),
    };
    ssr::finish(asked.map(Wire), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
