//! What ended while the person looked at no page.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A word about all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AwayNote {
    pub text: String,
    /// Something of it failed.
    pub failed: bool,
    /// The page on which it stands.
    pub to: String,
}

/// Up to that place in the log. The first of the person's tabs that asks is told; nobody is told again.
#[server(prefix = "/_fn", endpoint = "shell/tell_away", output = Answer)]
pub async fn tell_away(upto: u64) -> Result<Wire<Option<AwayNote>>, AppError> {
    use crate::{paths, ssr};
    use domain::away::Away;
    let (services, who) = ssr::signed_in()?;
    let told = services.tell_what_ended(&who.user, upto).await.map_err(ssr::told)?;
    Ok(Wire(told.map(|Away { text, failed, workspace }| {
        let to = match workspace {
            _ if failed => paths::ERRORS.to_owned(),
            Some(id) => paths::jobs(id),
            None => "/".to_owned(),
        };
        AwayNote { text, failed, to }
    })))
}
