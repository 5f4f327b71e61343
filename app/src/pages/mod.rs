//! The pages, one for each kind of address.

mod analytics;
mod attempts;
mod chat;
#[cfg(all(feature = "ssr", debug_assertions))]
mod components;
mod crawl;
mod crawl_dialog;
mod deleting;
mod document;
mod document_about;
mod document_content;
mod document_passages;
mod errors;
mod following;
mod history;
mod home;
mod in_place;
mod job;
mod loaded;
mod not_found;
mod over_time;
mod parts;
mod passage;
mod problem;
mod rag;
mod retrieval;
mod settings;
mod sign_in;
mod sign_up;
mod workspace;
mod workspace_dialog;

use analytics::AnalyticsPage;
use chat::ChatPage;
#[cfg(all(feature = "ssr", debug_assertions))]
pub use components::ComponentsPage;
use document::DocumentPage;
use errors::ErrorsPage;
use history::{DocumentHistoryPage, WorkspaceHistoryPage};
use home::HomePage;
use job::{JobPage, JobsPage};
/// The gallery of components stands in debug builds alone, and is never hydrated.
#[cfg(not(all(feature = "ssr", debug_assertions)))]
pub use not_found::NotFound as ComponentsPage;
pub use not_found::NotFound;
pub use parts::Page;
#[cfg(feature = "hydrate")]
pub use parts::parts_here;
#[cfg(feature = "ssr")]
pub use parts::{Part, parts_at};
use passage::PassagePage;
use rag::{DefaultRagPage, WorkspaceRagPage};
use retrieval::RetrievalPage;
use settings::{
    AccountPage, ApiKeysPage, NotificationsPage, PasswordPage, PreferencesPage, ProfilePage, SessionsPage,
    SettingsFrame,
};
pub use sign_in::SignInPage;
pub use sign_up::SignUpPage;
use workspace::WorkspacePage;
