//! The pages, one for each kind of address.

mod analytics;
#[cfg(all(feature = "ssr", debug_assertions))]
mod components;
mod document;
mod history;
mod home;
mod loaded;
mod not_found;
mod problem;
mod rag;
mod settings;
mod sign_in;
mod sign_up;
mod workspace;
mod workspace_dialog;

pub use analytics::AnalyticsPage;
#[cfg(all(feature = "ssr", debug_assertions))]
pub use components::ComponentsPage;
pub use document::DocumentPage;
pub use history::{DocumentHistoryPage, WorkspaceHistoryPage};
pub use home::HomePage;
/// The gallery of components stands in debug builds alone, and is never hydrated.
#[cfg(not(all(feature = "ssr", debug_assertions)))]
pub use not_found::NotFound as ComponentsPage;
pub use not_found::NotFound;
pub use rag::{DefaultRagPage, WorkspaceRagPage};
pub use settings::{
    AccountPage, ApiKeysPage, PasswordPage, PreferencesPage, ProfilePage, SessionsPage, SettingsFrame,
};
pub use sign_in::SignInPage;
pub use sign_up::SignUpPage;
pub use workspace::WorkspacePage;
