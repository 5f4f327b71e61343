//! The frame of every page of a signed-in person: sidebar with the workspaces, top bar with the live link and the
//! person's menu.
use crate::{
    AppError,
    activity::{Announcer, Notices, Tray},
    app::link_of,
    components::{
        Avatar, ButtonKind, ConnectionBadge, Each, Icon, IconName, LinkButton, Logo, Menu, MenuLine,
        StatusBadge,
    },
    effect::{effect, effect_after},
    live::{Live, Transport, machine::Link},
    server_fns::{
        auth::{SetTheme, SignOut, set_theme},
        shell::read_shell,
    },
    stores::Stores,
    view,
    wire::{PageData, Wire, page_data},
};
use domain::{
    Timestamp, User, WorkspaceId, message::number, pages::Shell, resource::Theme, shown::Shown,
    status::WorkspaceStatus,
};
use leptos::{prelude::*, server_fn::ServerFn, task::spawn_local};
use leptos_router::{components::Outlet, hooks::use_location};

/// What every page shows; read once, kept current by the stream.
#[derive(Clone, Copy)]
pub struct ShellData(pub PageData<Result<Wire<Shell>, AppError>>);

#[component]
pub fn Layout() -> impl IntoView {
    let live = Live::expect();
    let shell = page_data(|| (), |()| read_shell(), false);
    provide_context(ShellData(shell));
    effect(move || live.start());
    view! {
        <div class="shell">
            <header class="topbar">
                <NavToggle />
                <label class="icon-button nav-button" for="nav-toggle" title="Workspaces" aria-hidden="true">
                    <Icon name=IconName::Sidebar />
                </label>
                <div class="topbar-end">
                    <Suspense>{move || Suspend::new(async move { with_shell(shell.await, Tray) })}</Suspense>
                    <Connection />
                    <Suspense>{move || Suspend::new(async move { with_shell(shell.await, UserMenu) })}</Suspense>
                </div>
            </header>
            <nav class="sidebar" aria-label="Workspaces">
                <a class="brand" href="/">
                    <Logo />
                    "InsightHub"
                </a>
                <Suspense>
                    {move || Suspend::new(async move {
                        match shell.await {
                            Err(_) => view! { <NotListed retry=Callback::new(move |()| shell.refetch()) /> },
                            read => with_shell(read, Sidebar).into_any(),
                        }
                    })}
                </Suspense>
            </nav>
            <label class="nav-scrim" for="nav-toggle" aria-hidden="true"></label>
            <main class="main" id="main">
                <noscript>
                    <p class="px-6 pt-4 meta">
                        "Without JavaScript this page shows how things stood when it was loaded. Reload it to see more."
                    </p>
                </noscript>
                <CrashNotice />
                <Outlet />
            </main>
            <Announcer />
            <Notices />
        </div>
    }
}

/// Shows a part of the frame; without the shell the part stays empty, and the page below tells why.
fn with_shell<V: IntoView + 'static>(shell: Result<Wire<Shell>, AppError>, show: fn() -> V) -> impl IntoView {
    shell.ok().map(|Wire(shell)| part(&|stores, live| take_shell(stores, live, &shell), show))
}

/// Takes the shell into the stores.
pub fn take_shell(stores: Stores, live: Live, shell: &Shell) {
    stores.put_shell(shell);
    live.belongs_to(shell.user.id);
    live.rendered(&shell.since);
}

/// Shows a part of the page out of data that were read for it: `take` puts them into the stores, `show` renders what
/// the stores then know.
///
/// The server renders the parts of a page side by side, on several threads. There each part gets stores of its own, so
/// that it shows nothing but its own data, whichever part comes first. The browser takes part after part into its one
/// store, in order, and thus comes to the same picture: without that it could not take the page over.
pub fn part<S, V>(take: &dyn Fn(Stores, Live), show: S) -> impl IntoView + use<S, V>
where
    S: FnOnce() -> V,
    V: IntoView + 'static,
{
    #[cfg(feature = "ssr")]
    {
        use leptos::tachys::reactive_graph::OwnedView;
        let owner = Owner::current().map_or_else(Owner::new, |owner| owner.child());
        let view = owner.with(|| {
            let stores = Stores::new();
            take(stores, Live::new(stores));
            provide_context(stores);
            show()
        });
        OwnedView::new_with_owner(view, owner)
    }
    #[cfg(not(feature = "ssr"))]
    {
        take(Stores::expect(), Live::expect());
        show()
    }
}

/// The checkbox that opens the sidebar on a small screen and closes it on a large one, with or without a script.
#[component]
fn NavToggle() -> impl IntoView {
    let node = NodeRef::<leptos::html::Input>::new();
    let path = use_location().pathname;
    effect_after(move |before: Option<()>| {
        path.track();
        // A page was chosen: on a small screen the drawer has done its work.
        let is_small = window().match_media("(width < 56rem)").ok().flatten().is_some_and(|m| m.matches());
        if let (Some(()), true, Some(input)) = (before, is_small, node.get_untracked()) {
            input.set_checked(false);
        }
    });
    view! {
        <input
            class="nav-toggle"
            id="nav-toggle"
            type="checkbox"
            autocomplete="off"
            aria-label="Workspaces menu"
            node_ref=node
        />
    }
}

#[component]
fn Sidebar() -> impl IntoView {
    let ids = RwSignal::from(Stores::expect().workspace_ids());
    let path = use_location().pathname;
    view! {
        <div class="nav">
            <a class="nav-link" href="/" aria-current=move || (path.get() == "/").then_some("page")>
                <Icon name=IconName::Workspace />
                <span class="nav-label">"All workspaces"</span>
            </a>
            <a class="nav-link" href=crate::paths::ERRORS aria-current=move || (path.get() == crate::paths::ERRORS).then_some("page")>
                <Icon name=IconName::Warning />
                <span class="nav-label">"Errors"</span>
            </a>
            <div class="nav-title">
                <span>"Workspaces"</span>
                <a class="icon-button" href="/?new" aria-label="New workspace" title="New workspace">
                    <Icon name=IconName::Plus />
                </a>
            </div>
            <Each
                each=move || ids.get()
                key=|id: &WorkspaceId| id.uuid().as_u128()
                show=|id| view! { <SidebarWorkspace id /> }
            />
        </div>
    }
}

/// In the place of the list, when it could not be read. The page beside it goes on.
#[component]
fn NotListed(retry: Callback<()>) -> impl IntoView {
    view! {
        <div class="nav stack gap-2" role="alert">
            <p class="meta">"Your workspaces could not be listed."</p>
            <button type="button" class="button" data-scripted="" on:click=move |_| retry.run(())>
                "Try again"
            </button>
        </div>
    }
}

#[component]
fn SidebarWorkspace(id: WorkspaceId) -> impl IntoView {
    let workspace = RwSignal::from(Stores::expect().workspace(id));
    let path = use_location().pathname;
    let href = format!("/w/{id}");
    let current = {
        let href = href.clone();
        Memo::new(move |_| path.get() == href)
    };
    let name = move || workspace.with(|w| w.as_ref().map(|w| w.name.clone()));
    let documents =
        move || workspace.with(|w| w.as_ref().map(|w| w.counts.documents).filter(|n| *n > 0).map(number));
    view! {
        <a class="nav-link" href=href data-workspace-id=id.to_string() aria-current=move || current.get().then_some("page")>
            <StatusBadge shown=workspace_shown(id) />
            <span class="nav-label" title=name>{name}</span>
            <span class="nav-count">{documents}</span>
        </a>
    }
}

/// The name of a workspace as it is now; the one that came with the page where the stores know none.
pub fn workspace_name(id: WorkspaceId, read: String) -> Signal<String> {
    let workspace = Stores::expect().workspace(id);
    Signal::derive(move || {
        workspace.with(|w| w.as_ref().map(|w| w.name.clone())).unwrap_or_else(|| read.clone())
    })
}

/// What a page's header says besides its title: these words, and behind them that name.
pub fn header_note(words: &'static str, name: Signal<String>) -> Signal<Option<String>> {
    Signal::derive(move || Some(format!("{words} {}", name.get())))
}

/// What a workspace's badge shows: its own state, or what its running job does.
pub fn workspace_shown(id: WorkspaceId) -> Memo<Shown> {
    let stores = Stores::expect();
    let workspace = stores.workspace(id);
    let panel = stores.panel_job(id);
    Memo::new(move |_| {
        let own = workspace.with(|w| w.as_ref().map(|w| (w.status, Shown::of_workspace(w))));
        let Some((status, own)) = own else {
            return Shown::Ready { warnings: 0 };
        };
        let job = panel.get().filter(|_| status == WorkspaceStatus::Ready).map(|job| stores.job(job));
        let running = job.and_then(|job| {
            job.with(|job| job.as_ref().filter(|job| !job.status.is_final()).map(Shown::of_job))
        });
        running.unwrap_or(own)
    })
}

/// The live link: quiet while it is up; while it is down, since when, when the next try comes, and a way to hurry it.
#[component]
fn Connection() -> impl IntoView {
    let live = Live::expect();
    let status = live.status();
    let link = Memo::new(move |_| link_of(status.get().link));
    let ahead = live.server_ahead();
    let since = Memo::new(move |_| {
        // The link goes by the device's clock, which nothing sets meanwhile as a rule; what is shown by the server's.
        let lost = Timestamp::from_micros(i64::try_from(status.get().lost?).ok()?.saturating_mul(1_000));
        Some(lost.plus_micros(ahead.get()))
    });
    let way = Memo::new(move |_| match status.get().transport {
        Transport::Socket => None,
        Transport::Events => Some(("stream", "By server-sent events, since no WebSocket came through.")),
        Transport::Polling => {
            Some(("polling", "By long polling, since neither a WebSocket nor a stream came through."))
        }
    });
    let late = Memo::new(move |_| status.get().late);
    let waiting = Memo::new(move |_| matches!(status.get().link, Link::Waiting { .. }));
    let ended = Memo::new(move |_| status.get().link == Link::Ended);
    view! {
        <div class="row flex-nowrap max-md:gap-1">
            <ConnectionBadge
                link
                since=Signal::derive(move || since.get())
                by=Signal::derive(move || way.get())
                late=Signal::derive(move || late.get())
            />
            {move || {
                waiting
                    .get()
                    .then(|| {
                        view! {
                            // A phone has room for the number alone, beside a shorter button.
                            <span class="meta num whitespace-nowrap" title="Until the next try" data-next-try="">
                                <span class="hidden md:inline">"next try in "</span>
                                {move || status.get().next_try}
                                " s"
                            </span>
                            <button
                                type="button"
                                class="button quiet"
                                aria-label="Retry now"
                                on:click=move |_| live.retry_now()
                            >
                                <span>
                                    "Retry"
                                    <span class="hidden md:inline">" now"</span>
                                </span>
                            </button>
                        }
                    })
            }}
            // Whoever did not want to leave the page, for what is unsaved on it, has a way on all the same.
            {move || ended.get().then(|| view! { <SignInAgain /> })}
        </div>
    }
}

/// Shown by the style sheet once the page's script has broken down.
#[component]
fn CrashNotice() -> impl IntoView {
    view! {
        <div class="panel row mx-6 mt-4 hidden [[data-crashed]_&]:flex" role="alert">
            <p class="grow">"This page has stopped working. What it shows may be old."</p>
            <a class="button" href="" rel="external">
                "Reload"
            </a>
        </div>
    }
}

#[component]
fn UserMenu() -> impl IntoView {
    let user = RwSignal::from(Stores::expect().user());
    let name = Signal::derive(move || {
        user.with(|u| u.as_ref().map(|u| u.display_name().to_owned()).unwrap_or_default())
    });
    let email = move || user.with(|u| u.as_ref().map(|u| u.email.clone()));
    view! {
        <Menu label="Account" trigger=ViewFn::from(move || view! { <Avatar name /> })>
            <p class="menu-note">
                <strong>{move || name.get()}</strong>
                <br />
                {email}
            </p>
            <MenuLine />
            <a class="menu-item" href=crate::paths::SETTINGS_PROFILE>
                <Icon name=IconName::Settings />
                "Settings"
            </a>
            <MenuLine />
            <ThemeSwitch user />
            <MenuLine />
            // A plain form: signing out leaves this page, script or not.
            <form method="post" action=SignOut::url()>
                <button type="submit" class="menu-item">
                    <Icon name=IconName::SignOut />
                    "Sign out"
                </button>
            </form>
        </Menu>
    }
}

const THEMES: [(Theme, &str, IconName); 3] = [
    (Theme::Light, "Light", IconName::Sun),
    (Theme::Dark, "Dark", IconName::Moon),
    (Theme::System, "Like the system", IconName::Auto),
];

/// Works without a script by sending the form; with one, the page changes at once and the server learns of it after.
#[component]
fn ThemeSwitch(user: RwSignal<Option<User>>) -> impl IntoView {
    let stores = Stores::expect();
    let choose = move |theme: Theme| {
        let before = user.with_untracked(|u| u.as_ref().map(|u| u.theme));
        stores.show_theme(theme);
        spawn_local(async move {
            if let (Err(_), Some(before)) = (set_theme(theme).await, before) {
                stores.show_theme(before);
            }
        });
    };
    let item = move |(theme, label, icon): (Theme, &'static str, IconName)| {
        let is_chosen = move || user.with(|u| u.as_ref().is_some_and(|u| u.theme == theme));
        view! {
            <button
                type="submit"
                class="menu-item"
                name="theme"
                value=theme.as_str()
                aria-pressed=move || is_chosen().to_string()
                on:click=move |ev| {
                    ev.prevent_default();
                    choose(theme);
                }
            >
                <Icon name=icon />
                <span class="grow">{label}</span>
                {move || is_chosen().then(|| view! { <Icon name=IconName::Check /> })}
            </button>
        }
    };
    view! {
        <form method="post" action=SetTheme::url() aria-label="Theme">
            {THEMES.map(item).collect_view()}
        </form>
    }
}

/// Leads to the sign-in page and back; for pages that found out that nobody is signed in.
#[component]
pub fn SignInAgain() -> impl IntoView {
    let location = use_location();
    let href = Signal::derive(move || {
        let (path, search) = (location.pathname.get(), location.search.get());
        let here = if search.is_empty() { path } else { format!("{path}?{search}") };
        crate::paths::sign_in(&here)
    });
    view! {
        <LinkButton href kind=ButtonKind::Primary attr:rel="external">
            "Sign in"
        </LinkButton>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_workspaces_that_could_not_be_read_says_so_in_its_own_place() {
        let html = Owner::new().with(|| view! { <NotListed retry=Callback::new(|()| ()) /> }.to_html());
        assert!(
            html.contains("Your workspaces could not be listed.") && html.contains("Try again"),
            "{html}"
        );
    }
}
