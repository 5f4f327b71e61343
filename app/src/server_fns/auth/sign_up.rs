//! Makes an account and signs in.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "auth/sign_up", output = Answer)]
pub async fn sign_up(
    #[server(default)] username: String,
    #[server(default)] email: String,
    #[server(default)] password: String,
    #[server(default)] full_name: String,
    /// Page to go to afterwards.
    #[server(default)]
    next: String,
) -> Result<(), AppError> {
    use crate::ssr::{self, Form};
    let world = ssr::world()?;
    let form = services::SignUp {
        username: username.clone(),
        email: email.clone(),
        password,
        full_name: Some(full_name.clone()),
    };
    let answer = world.services.sign_up(form, world.client).await;
    let values = [("username", &*username), ("email", &*email), ("full_name", &*full_name)];
    ssr::finish_sign_in(answer, Form { page: "/signup", next: &next, values: &values, said: "" })
}
