//! Settings and the account.

mod change_password;
mod delete_account;
mod end_other_sessions;
mod end_session;
mod export;
mod keys;
mod make_key;
mod revoke_key;
mod save_notifications;
mod save_preferences;
mod save_profile;
mod sessions;
mod start_export;

pub use change_password::*;
pub use delete_account::*;
pub use end_other_sessions::*;
pub use end_session::*;
pub use export::*;
pub use keys::*;
pub use make_key::*;
pub use revoke_key::*;
pub use save_notifications::*;
pub use save_preferences::*;
pub use save_profile::*;
pub use sessions::*;
pub use start_export::*;
