//! How the documents of a workspace went, drawn.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::WorkspaceId;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A chart, drawn on the server, with the same figures as a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    pub title: String,
    /// What it shows, in a sentence.
    pub about: String,
    pub svg: String,
    /// What the colours mean: the class of the colour, and its name.
    pub legend: Vec<(String, String)>,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub name: String,
    pub days: u32,
    /// Name and value of what is told at a glance.
    pub facts: Vec<(String, String)>,
    pub charts: Vec<Chart>,
    /// The history was longer than is looked at.
    pub is_part: bool,
}

#[server(prefix = "/_fn", endpoint = "history/analytics", output = Answer)]
pub async fn read_analytics(
    id: WorkspaceId,
    #[server(default)] days: u32,
) -> Result<Wire<Figures>, AppError> {
    use super::charts;
    use crate::ssr;
    use services::analytics::{DAYS, MOST_DAYS};
    let (services, who) = ssr::signed_in()?;
    let days = if days == 0 { DAYS } else { days.min(MOST_DAYS) };
    let workspace = services.workspace(who.user.id, id).await.map_err(ssr::told)?;
    let analytics = services.analytics(who.user.id, id, days).await.map_err(ssr::told)?;
    Ok(Wire(charts::figures(workspace.name, days, &analytics)))
}
