//! The sign-in page and what it shares with the sign-up page.
use crate::{
    components::{Button, ButtonKind, ErrorPanel, Field, Logo, TabTitle},
    paths,
    server_fns::auth::SignIn,
    ssr, view,
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_query_map;

#[component]
pub fn SignInPage() -> impl IntoView {
    let next = way_on();
    let form = ssr::flash::take("/signin");
    let why =
        use_query_map().with_untracked(|query| query.get("why").and_then(|why| paths::Why::parse(&why)));
    let why = why.filter(|_| !form.is_refused()).map(paths::Why::sentence);
    let sign_up = paths::with_next("/signup", &next);
    let focus = form.focus(&["email"], if form.value("email").is_empty() { "email" } else { "password" });
    view! {
        <AuthCard
            title="Sign in"
            message=form.message.clone()
            note=why
            foot=view! { "No account yet? " <a class="link" href=sign_up>"Sign up"</a> }
        >
            <form class="form" method="post" action=SignIn::url()>
                <input type="hidden" name="next" value=next />
                <Field
                    label="E-mail"
                    name="email"
                    kind="email"
                    value=form.value("email")
                    error=form.error("email")
                    autocomplete="username"
                    autofocus=focus == "email"
                />
                <Field
                    label="Password"
                    name="password"
                    kind="password"
                    error=form.error("password")
                    autocomplete="current-password"
                    autofocus=focus == "password"
                />
                <Button kind=ButtonKind::Primary submit=true wide=true>
                    "Sign in"
                </Button>
            </form>
        </AuthCard>
    }
}

/// Where a sign-in leads. Whoever is signed in already never sees this page: the server leads on before it is rendered.
pub fn way_on() -> String {
    let next = use_query_map().with_untracked(|query| query.get("next").unwrap_or_default());
    paths::local_path(&next).unwrap_or("/").to_owned()
}

/// The card of a plain form. `message`: what is wrong with the form as a whole; `note`: why somebody is here; `foot`: the
/// other way in.
#[component]
pub fn AuthCard(
    title: &'static str,
    message: Option<String>,
    #[prop(optional_no_strip)] note: Option<&'static str>,
    foot: AnyView,
    children: Children,
) -> impl IntoView {
    view! {
        <TabTitle text=title />
        <main class="auth">
            <p class="brand">
                <Logo />
                "InsightHub"
            </p>
            <div class="auth-card stack">
                <h1 class="auth-title">{title}</h1>
                {note.map(|note| view! { <p class="muted" role="status">{note}</p> })}
                {message.map(|message| view! { <ErrorPanel title=message /> })}
                {children()}
            </div>
            <p class="auth-foot">{foot}</p>
        </main>
    }
}
