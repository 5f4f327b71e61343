//! The person, the workspaces and the jobs that run.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::pages::Shell;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "shell/read", output = Answer)]
pub async fn read_shell() -> Result<Wire<Shell>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.shell(who.user).await.map(Wire).map_err(ssr::told)
}
