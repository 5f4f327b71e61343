//! Signs in.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "auth/sign_in", output = Answer)]
pub async fn sign_in(
    #[server(default)] email: String,
    #[server(default)] password: String,
    /// Page to go to afterwards.
    #[server(default)]
    next: String,
) -> Result<(), AppError> {
    use crate::ssr::{self, Form};
    let world = ssr::world()?;
    let form = services::SignIn { email: email.clone(), password };
    let answer = world.services.sign_in(form, world.client).await;
    ssr::finish_sign_in(answer, Form { page: "/signin", next: &next, values: &[("email", &email)], said: "" })
}
