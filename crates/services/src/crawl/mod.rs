//! Crawls of web sites: beginning one and looking at its pages. Who asks the sites is the worker (`ingest::crawl`), by
//! the port [`crate::ports::Fetcher`].

pub mod address;

use crate::{
    Error, Result, Services, command,
    ports::{NewCrawl, PageQuery},
    spans,
};
use address::AddressError;
use domain::{
    FieldErrors, Job, JobId, UserId, WorkspaceId,
    crawl::{Crawl, CrawlForm, CrawlPage, DEPTH, PAGES, PageState},
    provision::WorkspaceAction,
    resource::Page,
};
use url::Url;

impl Services {
    /// Begins the crawl of a site.
    ///
    /// # Errors
    /// 422 at the fields that are wrong, `url` among them when its address is none that may be asked; 409 with the code
    /// of the workspace's status.
    pub async fn start_crawl(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        form: CrawlForm,
        command_id: Option<String>,
    ) -> Result<Job> {
        let found = self.made(user, workspace).await?;
        form.check()?;
        let mut errors = FieldErrors::default();
        let url = self.may_ask(&form.url).map_err(|e| FieldErrors::one("url", e.to_string()))?;
        let prefix = match &form.prefix {
            None => address::folder(&url),
            Some(text) => match prefix_of(&url, text) {
                Ok(prefix) => prefix,
                Err(sentence) => {
                    errors.add("prefix", sentence);
                    String::new()
                }
            },
        };
        errors.check()?;
        if let Some(refusal) = found.status.refuses(WorkspaceAction::Upload) {
            return Err(refusal.into());
        }
        let crawl = Crawl {
            url: url.into(),
            prefix,
            max_pages: form.max_pages.unwrap_or(PAGES),
            max_depth: form.max_depth.unwrap_or(DEPTH),
            current_url: None,
            waits_until: None,
            rests: false,
        };
        let bounds = [crawl.max_pages.to_string(), crawl.max_depth.to_string()];
        let parts = [crawl.url.as_str(), crawl.prefix.as_str(), &bounds[0], &bounds[1]];
        let new = NewCrawl {
            id: JobId::new(self.ids.uuid()),
            user_id: user,
            workspace_id: workspace,
            command_print: command_id.as_ref().map(|_| command::print(parts)),
            has_own_prefix: form.prefix.is_some(),
            crawl,
            command_id,
            created_at: self.clock.now(),
        };
        let drawn = new.id;
        let job = self.crawls.create_crawl(new).await?;
        spans::led_to(job.job_id, drawn);
        Ok(job)
    }

    fn may_ask(&self, text: &str) -> std::result::Result<Url, AddressError> {
        let url = address::parse(text)?;
        self.fetcher.check(&url)?;
        Ok(url)
    }

    /// The pages of a crawl, in the order in which they were found; of a job that is none, none.
    pub async fn crawl_pages(
        &self,
        user: UserId,
        job: JobId,
        state: Option<PageState>,
        page: PageQuery,
    ) -> Result<Page<CrawlPage>> {
        self.crawls.crawl_pages(user, job, state, page).await?.ok_or(Error::NotFound("job"))
    }
}

/// The part of the site that is read, as somebody typed it. The first page has to lie in it.
fn prefix_of(url: &Url, text: &str) -> std::result::Result<String, String> {
    let prefix = address::parse(text).map_err(|e| e.to_string())?;
    if !address::same_site(url, &prefix) {
        return Err("Use an address of the same site.".to_owned());
    }
    let prefix = String::from(prefix);
    if address::lies_in(url, &prefix) {
        Ok(prefix)
    } else {
        Err("The address of the site does not begin with this.".to_owned())
    }
}
