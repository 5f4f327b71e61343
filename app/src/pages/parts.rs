//! The pages as the router knows them. Their code comes in parts of the WASM of their own, which the browser fetches
//! when a page is opened: early, told by the head of a page that the server rendered, or on the way to it from another
//! page. What parts have in common is shared between them by the build.

use super::problem::{ProblemView, around};
use super::{
    AccountPage, AnalyticsPage, ApiKeysPage, ChatPage, DefaultRagPage, DocumentHistoryPage, DocumentPage,
    ErrorsPage, HomePage, JobPage, JobsPage, NotificationsPage, PassagePage, PasswordPage, PreferencesPage,
    ProfilePage, RetrievalPage, SessionsPage, SettingsFrame, WorkspaceHistoryPage, WorkspacePage,
    WorkspaceRagPage,
};
use super::{crawl_dialog, workspace_dialog};
use crate::{components::ErrorPanel, error::UNREACHABLE, live::Live, view};
use domain::Problem as Details;
use leptos::{prelude::*, task::spawn_local};
use leptos_router::ChooseView;
use std::{future::Future, pin::Pin};
use wasm_split_helpers::{SplitLoaderError, wasm_split};

/// A part of the WASM, by the name that the functions below give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Home,
    Workspace,
    Document,
    Rag,
    Settings,
    History,
    /// Looking at passages: one of a document, and those that a question finds.
    Inspect,
    /// Questions and answers.
    Chat,
    /// The form of a workspace, on several pages.
    Dialog,
    /// The form of a crawl.
    Crawl,
}

/// A view whose code had to be fetched first.
pub type Fetched = Result<AnyView, SplitLoaderError>;

/// A page of a signed-in person, or the frame of some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Home,
    Workspace,
    Document,
    WorkspaceHistory,
    DocumentHistory,
    Jobs,
    Job,
    Analytics,
    Retrieval,
    Chat,
    Passage,
    Errors,
    WorkspaceRag,
    DefaultRag,
    Settings,
    Profile,
    Password,
    Preferences,
    Notifications,
    ApiKeys,
    Account,
    Sessions,
}

#[wasm_split(home, fallible, preload(fetch_home))]
fn home() -> Fetched {
    Ok(HomePage().into_any())
}

#[wasm_split(workspace, fallible, preload(fetch_workspace))]
fn workspace() -> Fetched {
    Ok(WorkspacePage().into_any())
}

#[wasm_split(document, fallible, preload(fetch_document))]
fn document() -> Fetched {
    Ok(DocumentPage().into_any())
}

#[wasm_split(rag, fallible, preload(fetch_rag))]
fn rag(page: Page) -> Fetched {
    Ok(if page == Page::WorkspaceRag { WorkspaceRagPage().into_any() } else { DefaultRagPage().into_any() })
}

#[wasm_split(history, fallible, preload(fetch_history))]
fn history(page: Page) -> Fetched {
    Ok(match page {
        Page::WorkspaceHistory => WorkspaceHistoryPage().into_any(),
        Page::DocumentHistory => DocumentHistoryPage().into_any(),
        Page::Jobs => JobsPage().into_any(),
        Page::Job => JobPage().into_any(),
        Page::Errors => ErrorsPage().into_any(),
        _ => AnalyticsPage().into_any(),
    })
}

#[wasm_split(inspect, fallible, preload(fetch_inspect))]
fn inspect(page: Page) -> Fetched {
    Ok(if page == Page::Retrieval { RetrievalPage().into_any() } else { PassagePage().into_any() })
}

#[wasm_split(chat, fallible, preload(fetch_chat))]
fn chat() -> Fetched {
    Ok(ChatPage().into_any())
}

#[wasm_split(settings, fallible, preload(fetch_settings))]
fn settings(page: Page) -> Fetched {
    Ok(match page {
        Page::Profile => ProfilePage().into_any(),
        Page::Password => PasswordPage().into_any(),
        Page::Preferences => PreferencesPage().into_any(),
        Page::Notifications => NotificationsPage().into_any(),
        Page::ApiKeys => ApiKeysPage().into_any(),
        Page::Account => AccountPage().into_any(),
        Page::Sessions => SessionsPage().into_any(),
        _ => SettingsFrame().into_any(),
    })
}

impl ChooseView for Page {
    async fn choose(self) -> AnyView {
        let make = Callback::new(move |()| Box::pin(self.make()) as Making);
        self.make().await.unwrap_or_else(|_| view! { <Unfetched what="page" part=self.part() make /> })
    }

    async fn preload(&self) {
        // Whether it came is asked again by `choose`, which can show an answer.
        let _ = self.part().fetch().await;
    }
}

impl Page {
    const fn part(self) -> Part {
        match self {
            Self::Home => Part::Home,
            Self::Workspace => Part::Workspace,
            Self::Document => Part::Document,
            Self::WorkspaceRag | Self::DefaultRag => Part::Rag,
            Self::WorkspaceHistory
            | Self::DocumentHistory
            | Self::Jobs
            | Self::Job
            | Self::Analytics
            | Self::Errors => Part::History,
            Self::Retrieval | Self::Passage => Part::Inspect,
            Self::Chat => Part::Chat,
            Self::Settings
            | Self::Profile
            | Self::Password
            | Self::Preferences
            | Self::Notifications
            | Self::ApiKeys
            | Self::Account
            | Self::Sessions => Part::Settings,
        }
    }

    async fn make(self) -> Fetched {
        match self {
            Self::Home => home().await,
            Self::Workspace => workspace().await,
            Self::Document => document().await,
            Self::WorkspaceRag | Self::DefaultRag => rag(self).await,
            Self::WorkspaceHistory
            | Self::DocumentHistory
            | Self::Jobs
            | Self::Job
            | Self::Analytics
            | Self::Errors => history(self).await,
            Self::Retrieval | Self::Passage => inspect(self).await,
            Self::Chat => chat().await,
            _ => settings(self).await,
        }
    }
}

impl Part {
    /// As the build lists it.
    #[cfg(feature = "ssr")]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Workspace => "workspace",
            Self::Document => "document",
            Self::Rag => "rag",
            Self::Settings => "settings",
            Self::History => "history",
            Self::Inspect => "inspect",
            Self::Chat => "chat",
            Self::Dialog => "dialog",
            Self::Crawl => "crawl",
        }
    }

    pub async fn fetch(self) -> Result<(), SplitLoaderError> {
        match self {
            Self::Home => fetch_home().await,
            Self::Workspace => fetch_workspace().await,
            Self::Document => fetch_document().await,
            Self::Rag => fetch_rag().await,
            Self::Settings => fetch_settings().await,
            Self::History => fetch_history().await,
            Self::Inspect => fetch_inspect().await,
            Self::Chat => fetch_chat().await,
            Self::Dialog => workspace_dialog::fetch_dialog().await,
            Self::Crawl => crawl_dialog::fetch_crawl().await,
        }
    }
}

/// The parts that the page at an address consists of. The server tells the browser to fetch them early, and the browser
/// waits for them before it takes the page over; a page of the router that is not here would stop at its first test,
/// since taking over waits for nothing more.
pub fn parts_at(path: &str) -> &'static [Part] {
    let mut steps = path.trim_matches('/').split('/');
    match (steps.next(), steps.next(), steps.next(), steps.next()) {
        (None | Some(""), None, ..) => &[Part::Home],
        (Some("w"), Some(_), None, _) => &[Part::Workspace],
        (Some("w"), Some(_), Some("rag"), None) => &[Part::Rag],
        (Some("w"), Some(_), Some("history" | "analytics"), None) => &[Part::History],
        (Some("w"), Some(_), Some("jobs"), _) => &[Part::History],
        (Some("w"), Some(_), Some("retrieval"), None) => &[Part::Inspect],
        (Some("w"), Some(_), Some("chat"), None) => &[Part::Chat],
        (Some("errors"), None, ..) => &[Part::History],
        (Some("d"), Some(_), Some("history"), None) => &[Part::History],
        (Some("d"), Some(_), Some("chunks"), Some(_)) => &[Part::Inspect],
        (Some("d"), Some(_), None, _) => &[Part::Document],
        (Some("settings"), Some("rag"), None, _) => &[Part::Settings, Part::Rag],
        (Some("settings"), Some(_), None, _) => &[Part::Settings],
        _ => &[],
    }
}

/// The parts without which the page in the browser cannot be taken over: those of its address, and of what the server
/// rendered with it.
#[cfg(feature = "hydrate")]
pub fn parts_here() -> Vec<Part> {
    let mut parts = parts_at(&location().pathname().unwrap_or_default()).to_vec();
    for (id, part) in [(workspace_dialog::ID, Part::Dialog), (crawl_dialog::ID, Part::Crawl)] {
        if leptos::prelude::document().get_element_by_id(id).is_some() {
            parts.push(part);
        }
    }
    parts
}

/// Makes a view whose code has to be fetched first.
pub type Making = Pin<Box<dyn Future<Output = Fetched> + Send>>;

/// In the place of what could not be fetched: `make` makes it out of `part`. It comes by itself when the connection is
/// back.
#[component]
pub fn Unfetched(what: &'static str, part: Part, make: Callback<(), Making>) -> impl IntoView {
    let is_here = RwSignal::new(false);
    let retry = Callback::new(move |()| {
        spawn_local(async move {
            if part.fetch().await.is_ok() {
                is_here.try_set(true);
            }
        });
    });
    // With the link up it is not the connection: the server has a newer version by now, which a reload brings.
    let is_outdated = Live::expect().is_open().get_untracked();
    move || match is_here.get() {
        true => Suspend::new(async move { make.run(()).await.ok() }).into_any(),
        false if is_outdated => view! { <Outdated what /> },
        false => {
            let error = Details::new(503, UNREACHABLE, "The server cannot be reached.").into();
            view! { <ProblemView error what retry /> }
        }
    }
}

#[component]
fn Outdated(what: &'static str) -> impl IntoView {
    view! {
        <div class="page">
            <ErrorPanel
                title=format!("The {what} could not be fetched")
                detail="There may be a newer version. Load the page anew."
                of_page=!around().has_heading
            >
                <a class="button" href="" rel="external">
                    "Load the page"
                </a>
            </ErrorPanel>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_the_parts_of_its_page() {
        let some: [(&str, &[Part]); 19] = [
            ("/", &[Part::Home]),
            ("/w/1", &[Part::Workspace]),
            ("/w/1/", &[Part::Workspace]),
            ("/w/1/rag", &[Part::Rag]),
            ("/w/1/history", &[Part::History]),
            ("/w/1/analytics", &[Part::History]),
            ("/w/1/jobs", &[Part::History]),
            ("/w/1/jobs/2", &[Part::History]),
            ("/w/1/retrieval", &[Part::Inspect]),
            ("/w/1/chat", &[Part::Chat]),
            ("/errors", &[Part::History]),
            ("/d/1", &[Part::Document]),
            ("/d/1/chunks/2", &[Part::Inspect]),
            ("/d/1/history", &[Part::History]),
            ("/settings/profile", &[Part::Settings]),
            ("/settings/rag", &[Part::Settings, Part::Rag]),
            ("/signin", &[]),
            ("/w", &[]),
            ("/w/1/rag/more", &[]),
        ];
        for (path, parts) in some {
            assert_eq!(parts_at(path), parts, "{path}");
        }
    }
}
