//! The pages of a crawl.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{
    JobId,
    crawl::{CrawlPage, PageState},
    resource::Page,
};
use leptos::prelude::*;

/// Pages of one answer.
#[cfg(feature = "ssr")]
const PART: u32 = 100;

#[server(prefix = "/_fn", endpoint = "jobs/pages", output = Answer)]
pub async fn list_pages(
    id: JobId,
    #[server(default)] state: Option<PageState>,
    #[server(default)] after: Option<String>,
) -> Result<Wire<Page<CrawlPage>>, AppError> {
    use crate::ssr;
    use services::ports::PageQuery;
    let (services, who) = ssr::signed_in()?;
    let query = PageQuery { limit: PART, after };
    services.crawl_pages(who.user.id, id, state, query).await.map(Wire).map_err(ssr::told)
}
