//! Making an account: plain HTML, rendered by the server and never hydrated.

#[cfg(feature = "ssr")]
pub use plain::SignUpPage;

#[cfg(not(feature = "ssr"))]
pub use super::sign_in::elsewhere::Reload as SignUpPage;

#[cfg(feature = "ssr")]
mod plain {
    use crate::{
        components::{Button, ButtonKind, Field},
        pages::sign_in::{AuthCard, way_on},
        paths,
        server_fns::auth::SignUp,
        ssr, view,
    };
    use leptos::{prelude::*, server_fn::ServerFn};

    #[component]
    pub fn SignUpPage() -> impl IntoView {
        let next = way_on();
        let form = ssr::flash::take("/signup");
        let sign_in = paths::with_next("/signin", &next);
        // The password is never given back, so it is the field to go on with when no other is wrong.
        let otherwise = if form.value("username").is_empty() { "username" } else { "password" };
        let focus = form.focus(&["username", "email", "full_name", "password"], otherwise);
        view! {
            <AuthCard
                title="Create your account"
                message=form.message.clone()
                foot=view! { "Already have an account? " <a class="link" href=sign_in>"Sign in"</a> }
            >
                <form class="form" method="post" action=SignUp::url()>
                    <input type="hidden" name="next" value=next />
                    <Field
                        label="Username"
                        name="username"
                        value=form.value("username")
                        error=form.error("username")
                        help="3 to 50 letters, digits, - and _"
                        autocomplete="nickname"
                        maxlength=50
                        autofocus=focus == "username"
                    />
                    <Field
                        label="E-mail"
                        name="email"
                        kind="email"
                        value=form.value("email")
                        error=form.error("email")
                        autocomplete="username"
                        maxlength=254
                        autofocus=focus == "email"
                    />
                    <Field
                        label="Full name"
                        name="full_name"
                        value=form.value("full_name")
                        error=form.error("full_name")
                        autocomplete="name"
                        maxlength=100
                        optional=true
                        autofocus=focus == "full_name"
                    />
                    <Field
                        label="Password"
                        name="password"
                        kind="password"
                        error=form.error("password")
                        help="8 to 128 characters with upper and lower case and a digit"
                        autocomplete="new-password"
                        autofocus=focus == "password"
                    />
                    <Button kind=ButtonKind::Primary submit=true wide=true>
                        "Sign up"
                    </Button>
                </form>
            </AuthCard>
        }
    }
}
