//! Begins the crawl of a site. The pages come on the stream.

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/crawl", output = Answer)]
pub async fn crawl_site(
    id: WorkspaceId,
    #[server(default)] url: String,
    #[server(default)] prefix: String,
    #[server(default)] max_pages: String,
    #[server(default)] max_depth: String,
    /// Drawn with the form, so that a form that is sent twice begins one crawl.
    #[server(default)]
    key: String,
) -> Result<(), AppError> {
    use crate::ssr;
    use domain::crawl::CrawlForm;
    let (services, who) = ssr::signed_in()?;
    // What was typed anew since is another command.
    let command = (!key.is_empty()).then(|| format!("{key} {url} {prefix} {max_pages} {max_depth}"));
    let begun = match CrawlForm::typed(&url, &prefix, &max_pages, &max_depth) {
        Ok(form) => services.start_crawl(who.user.id, id, form, command).await.map(|_| ()),
        Err(errors) => Err(errors.into()),
    };
    let page = crate::paths::workspace(id);
    let values =
        [("url", &*url), ("prefix", &*prefix), ("max_pages", &*max_pages), ("max_depth", &*max_depth)];
    ssr::finish(begun, ssr::Form { page: &page, next: &page, values: &values, said: "" })
}
