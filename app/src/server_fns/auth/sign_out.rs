//! Ends the session everywhere.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "auth/sign_out", output = Answer)]
pub async fn sign_out() -> Result<(), AppError> {
    use crate::ssr;
    // Without a session there is nothing to end; the cookie goes all the same.
    if let Ok((services, who)) = ssr::signed_in() {
        services.sign_out(&who).await.map_err(ssr::told)?;
    }
    ssr::signed_out();
    Ok(())
}
