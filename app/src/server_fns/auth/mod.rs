//! Signing up, in and out, and the look.

mod set_theme;
mod sign_in;
mod sign_out;
mod sign_up;

pub use set_theme::{SetTheme, set_theme};
pub use sign_in::{SignIn, sign_in};
pub use sign_out::{SignOut, sign_out};
pub use sign_up::{SignUp, sign_up};
