//! The browsers that are signed in to the account.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::resource::{Page, Session};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/sessions", output = Answer)]
pub async fn list_sessions(after: Option<String>) -> Result<Wire<Page<Session>>, AppError> {
    use crate::ssr;
    use services::ports::PageQuery;
    let (services, who) = ssr::signed_in()?;
    let page = PageQuery { after, ..PageQuery::first(50) };
    services.list_sessions(&who, page).await.map(Wire).map_err(ssr::told)
}
