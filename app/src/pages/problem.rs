//! The place of a page, or of a part of it, that could not be read: what is wrong, and the way out. The rest of the
//! page goes on.

use super::not_found::Missing;
use crate::{
    AppError,
    components::{Button, ButtonKind, EmptyState, ErrorPanel, IconName, LinkButton, TabTitle},
    effect::{effect, effect_after},
    error::UNREACHABLE,
    layout::SignInAgain,
    live::Live,
    view,
};
use leptos::prelude::*;

/// What the page around has, so that what cannot be read neither says it twice nor leaves it out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around {
    /// There is a heading above, of which this is a part.
    pub has_heading: bool,
    /// The title of the browser's tab comes from what was to be read.
    pub needs_title: bool,
}

pub fn around() -> Around {
    use_context().unwrap_or_default()
}

/// `what` could not be read: "workspace", "document", "list"; `retry` reads it again.
#[component]
pub fn ProblemView(error: AppError, what: &'static str, retry: Callback<()>) -> impl IntoView {
    let Around { has_heading, needs_title } = around();
    let of_page = !has_heading;
    let title = (needs_title && error.status() != 404).then(|| view! { <TabTitle text=error.title() /> });
    let place = match error.status() {
        404 => view! { <Missing what /> },
        401 => {
            let live = Live::expect();
            effect(move || live.signed_out());
            view! {
                <div class="page">
                    <ErrorPanel
                        title="You are signed out"
                        detail="Sign in again to go on where you were."
                        of_page=of_page
                    >
                        <SignInAgain />
                    </ErrorPanel>
                </div>
            }
        }
        403 => view! { <NoAccess what detail=error.0.detail.clone() /> },
        _ if error.0.code == UNREACHABLE => {
            // As soon as the link is back there is no need to ask.
            let is_open = Live::expect().is_open();
            effect_after(move |was_open: Option<bool>| {
                let is_open = is_open.get();
                if is_open && was_open == Some(false) {
                    retry.run(());
                }
                is_open
            });
            // Or as soon as the browser has a network again: the link may not have noticed that it was gone.
            effect(move || {
                let back = window_event_listener(leptos::ev::online, move |_| retry.run(()));
                on_cleanup(move || back.remove());
            });
            view! { <Offline what retry /> }
        }
        _ => view! {
            <div class="page">
                <ErrorPanel
                    title=format!("The {what} could not be read")
                    detail=error.0.detail.clone()
                    code=error.0.code.clone()
                    id=error.0.correlation_id.clone()
                    of_page=of_page
                >
                    <Button on:click=move |_| retry.run(())>"Try again"</Button>
                </ErrorPanel>
            </div>
        },
    };
    view! {
        {title}
        {place}
    }
}

/// The server did not answer.
#[component]
pub fn Offline(what: &'static str, retry: Callback<()>) -> impl IntoView {
    view! {
        <div class="page">
            <EmptyState
                icon=IconName::LinkBroken
                of_page=!around().has_heading
                title="The server cannot be reached"
                text=format!("The {what} comes as soon as the connection is back.")
            >
                <Button kind=ButtonKind::Primary icon=IconName::Retry on:click=move |_| retry.run(())>
                    "Try again"
                </Button>
            </EmptyState>
        </div>
    }
}

/// It is there, and not for this person.
#[component]
pub fn NoAccess(what: &'static str, #[prop(into)] detail: String) -> impl IntoView {
    view! {
        <div class="page">
            <EmptyState
                icon=IconName::SlashCircle
                of_page=!around().has_heading
                title=format!("You have no access to this {what}")
                text=detail
            >
                <LinkButton href="/" kind=ButtonKind::Primary>
                    "All workspaces"
                </LinkButton>
            </EmptyState>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::Stores;
    use domain::Problem;
    use leptos_router::{components::Router, location::RequestUrl};

    fn html(error: Problem, around: Option<Around>) -> String {
        Owner::new().with(|| {
            leptos_meta::provide_meta_context();
            provide_context(RequestUrl::new("/w/1"));
            provide_context(Live::new(Stores::new()));
            if let Some(around) = around {
                provide_context(around);
            }
            let error = AppError::from(error);
            let show = move || view! { <ProblemView error=error.clone() what="workspace" retry=Callback::new(|()| ()) /> };
            view! { <Router>{show()}</Router> }.to_html()
        })
    }

    /// Each way in which something cannot be read: what is said of it, and the way out.
    fn ways() -> Vec<(Problem, &'static str, &'static str)> {
        let of = |status, code: &str| Problem::new(status, code, "Why it is so.");
        vec![
            (of(404, "not_found"), "There is no such workspace", "All workspaces"),
            (of(401, "unauthorized"), "You are signed out", "Sign in"),
            (of(403, "forbidden"), "You have no access to this workspace", "All workspaces"),
            (of(503, UNREACHABLE), "The server cannot be reached", "Try again"),
            (of(500, "internal"), "The workspace could not be read", "Try again"),
            (of(429, "too_often"), "The workspace could not be read", "Try again"),
        ]
    }

    #[test]
    fn each_state_has_its_own_words_its_way_out_and_one_heading() {
        for (error, said, out) in ways() {
            let code = error.code.clone();
            let html = html(error, None);
            let heading =
                html.split("<h1").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap_or_default();
            assert!(heading.contains(said), "{code}: {html}");
            assert_eq!(html.matches("<h1").count(), 1, "{code}: {html}");
            assert!(html.contains(out), "{code}: {html}");
        }
    }

    #[test]
    fn below_a_heading_there_is_no_second_one_of_the_page() {
        for (error, said, _) in ways() {
            let html = html(error, Some(Around { has_heading: true, needs_title: false }));
            assert!(html.contains(said) && !html.contains("<h1"), "{html}");
        }
    }

    #[test]
    fn why_it_is_so_is_told_where_somebody_can_do_something_about_it() {
        let refused = html(Problem::new(403, "forbidden", "The key lacks a scope."), None);
        assert!(refused.contains("The key lacks a scope."), "{refused}");
        let error = Problem { correlation_id: Some("0197-abc".into()), ..Problem::internal() };
        let fault = html(error, None);
        for told in ["It is not your fault", "internal", "0197-abc", "Copy details"] {
            assert!(fault.contains(told), "{told}: {fault}");
        }
    }

    #[test]
    fn the_tab_names_what_is_wrong() {
        let titles = ways().into_iter().map(|(error, ..)| AppError::from(error).title());
        assert_eq!(
            titles.collect::<Vec<_>>(),
            ["Not found", "Signed out", "No access", "Not reached", "Not read", "Not read"]
        );
    }
}
