//! The one place of this crate that knows the web framework: what the server hands in for a request, and how a use
//! case's answer becomes a status, a header, a cookie or a redirect.

use crate::{error::AppError, forms::FormState, paths};
use domain::resource::{Density, Language, Theme};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use leptos::prelude::{Owner, provide_context, use_context};
use leptos_axum::ResponseOptions;
use services::{Client, Services, SignedIn, Who};
use std::sync::Arc;

/// How the server writes its session cookie; the same code serves the REST routes.
pub trait SessionCookies: Send + Sync {
    /// The `Set-Cookie` value of a new session.
    fn set(&self, signed_in: &SignedIn) -> String;
    /// The `Set-Cookie` value by which this browser is known at its next sign-in; `None` when it keeps what it has.
    fn set_device(&self, mark: &str) -> String;
    /// The `Set-Cookie` value that forgets the session.
    fn clear(&self) -> String;
    /// Makes a text unreadable, and impossible to make up, for everybody but the servers of this database.
    fn seal(&self, text: &str) -> Option<String>;
    /// What was sealed; `None` for everything else.
    fn open(&self, sealed: &str) -> Option<String>;
    /// Cookies must carry `Secure`: the site is served over TLS.
    fn secure(&self) -> bool;
}

/// What the server knows of a request. It provides one to each page and each server function, with [`provide_world`].
#[derive(Clone)]
pub struct World {
    pub services: Services,
    /// Who asks, as the middleware found out; `None` for an anonymous visitor.
    pub who: Option<Who>,
    /// Where the request comes from, and what it holds of earlier sign-ins.
    pub client: Client,
    /// What names the request in the log.
    pub request_id: Option<Arc<str>>,
    pub cookies: Arc<dyn SessionCookies>,
}

pub fn provide_world(world: World) {
    provide_context(world);
}

/// What the server handed in, for visitors and signed-in people alike.
pub fn world() -> Result<World, AppError> {
    // Without it the server was put together wrongly; every page would say so.
    use_context::<World>()
        .ok_or_else(|| told(services::Error::problem(500, "internal", "The server is not ready.")))
}

/// The use cases and the person who asks.
///
/// # Errors
/// 401 when nobody is signed in.
pub fn signed_in() -> Result<(Services, Who), AppError> {
    let world = world()?;
    match world.who {
        Some(who) => Ok((world.services, who)),
        None => Err(told(services::Error::Unauthorized)),
    }
}

/// How pages look for the one who asks; an anonymous visitor has the system's theme.
pub fn look() -> (Theme, Density, Language) {
    let user = use_context::<World>().and_then(|w| w.who).map(|who| who.user);
    user.map_or((Theme::System, Density::default(), Language::default()), |u| {
        (u.theme, u.density, u.language)
    })
}

/// The id of the sign-in session that asks; it opens nothing, and tells the tabs of one session from others.
pub fn session() -> Option<String> {
    use_context::<World>().and_then(|w| w.who).map(|who| who.session_id.to_string())
}

/// A key that no other form has, for one that must not do its work twice.
pub fn drawn_key() -> String {
    use_context::<World>().map(|w| w.services.ids.uuid().to_string()).unwrap_or_default()
}

/// Maps the error of a use case: sets the status of the answer and says what the client may know.
pub fn told(error: services::Error) -> AppError {
    let mut problem = error.to_problem();
    if Owner::current().is_some() {
        problem.correlation_id = use_context::<World>().and_then(|w| w.request_id).map(|id| id.to_string());
    }
    set_status(problem.status);
    if let Some(seconds) = problem.retry_after {
        add_header(header::RETRY_AFTER, &seconds.to_string());
    }
    problem.into()
}

/// Sets the status of the answer; the framework alone would say 200 for every page and 500 for every error.
pub fn set_status(status: u16) {
    // Called while errors are made, and those are made outside of requests too (in tests, for one).
    if Owner::current().is_none() {
        return;
    }
    if let (Some(options), Ok(status)) = (use_context::<ResponseOptions>(), StatusCode::from_u16(status)) {
        options.set_status(status);
    }
}

fn add_header(name: HeaderName, value: &str) {
    if let (Some(options), Ok(value)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(value)) {
        options.append_header(name, value);
    }
}

fn request_headers() -> HeaderMap {
    use_context::<Parts>().map(|parts| parts.headers).unwrap_or_default()
}

/// Path of the page that is asked for.
pub fn request_path() -> String {
    use_context::<Parts>().map(|parts| parts.uri.path().to_owned()).unwrap_or_default()
}

/// The caller is a plain form, not a script: it wants a page, not an answer.
fn is_plain_form() -> bool {
    request_headers()
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.contains("text/html"))
}

/// The one helper around `redirect`, which takes pages of this site only and answers a script by a header instead.
pub fn redirect(path: &str) {
    leptos_axum::redirect(paths::local_path(path).unwrap_or("/"));
}

/// A form of a page: where it stands, so that a refusal can lead back to it.
pub struct Form<'a> {
    pub page: &'a str,
    /// Where a success leads.
    pub next: &'a str,
    /// Typed values that may be shown again.
    pub values: &'a [(&'a str, &'a str)],
    /// What a success tells on the page that it leads to; empty when that page shows it anyway.
    pub said: &'a str,
}

/// Ends a sign-in or sign-up: sets the session cookie and leads on, or leads back to the form.
pub fn finish_sign_in(answer: services::Result<SignedIn>, form: Form<'_>) -> Result<(), AppError> {
    if let Ok(signed_in) = &answer {
        hold(signed_in);
    }
    finish(answer.map(|_| ()), form)
}

/// Hands the browser the session's token: after a sign-in, and after it got a new one.
pub fn hold(signed_in: &SignedIn) {
    let Ok(world) = world() else { return };
    add_header(header::SET_COOKIE, &world.cookies.set(signed_in));
    if let Some(mark) = &signed_in.device {
        hold_device(mark);
    }
}

/// Hands the browser the mark by which it is known at its next sign-in.
pub fn hold_device(mark: &str) {
    if let Ok(world) = world() {
        add_header(header::SET_COOKIE, &world.cookies.set_device(mark));
    }
}

/// Ends a form that may have been sent without scripts: a success leads on; a refusal leads back to the form with what
/// it has to show. A script gets the plain answer with its status.
pub fn finish<T>(answer: services::Result<T>, form: Form<'_>) -> Result<T, AppError>
where
    T: Default,
{
    let plain = is_plain_form();
    match answer {
        Ok(value) => {
            if plain {
                if !form.said.is_empty() {
                    let said = Some(form.said.to_owned());
                    flash::set(form.next, &FormState { said, ..FormState::default() });
                }
                redirect(if form.next.is_empty() { "/" } else { form.next });
            }
            Ok(value)
        }
        Err(e) if plain => {
            let refused = AppError::from(e.to_problem());
            flash::set(form.page, &FormState::refused(&refused, form.values));
            // A form that leads back to its own page needs no reminder of it.
            let next = if form.next == form.page { "" } else { form.next };
            redirect(&paths::with_next(form.page, next));
            Ok(T::default())
        }
        Err(e) => Err(told(e)),
    }
}

/// Ends a form whose answer is a secret that is shown once: without a script it travels as what was typed does, in a
/// cookie that no script can read and that the next page takes away. A late twin of the form, which gets no secret, leaves
/// that cookie alone.
pub fn finish_with_secret(
    answer: services::Result<Option<String>>,
    form: Form<'_>,
) -> Result<Option<String>, AppError> {
    if let (Ok(secret), true) = (&answer, is_plain_form()) {
        if let Some(secret) = secret {
            let values = [("secret".to_owned(), secret.clone())].into_iter().collect();
            let said = Some(form.said.to_owned());
            flash::set(form.next, &FormState { values, said, ..FormState::default() });
        }
        redirect(form.next);
        return Ok(None);
    }
    finish(answer, form)
}

/// Forgets the session cookie and leads to the sign-in page.
pub fn signed_out() {
    forget_session();
    redirect("/signin");
}

/// The same for somebody whose account goes.
pub fn account_gone() {
    forget_session();
    redirect(&paths::sign_in_since(paths::Why::Deleted, ""));
}

fn forget_session() {
    if let Ok(world) = world() {
        add_header(header::SET_COOKIE, &world.cookies.clear());
    }
}

/// Leads a plain form back to the page that it stood on; a script stays where it is.
pub fn back() {
    if !is_plain_form() {
        return;
    }
    let headers = request_headers();
    let referer = headers.get(header::REFERER).and_then(|v| v.to_str().ok()).unwrap_or("/");
    // `https://host/path` → `/path`; the host does not matter, since the redirect stays on this one.
    let path = match referer.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => referer,
    };
    redirect(path);
}

/// The state of a refused form, between the refusal and the page that shows it.
pub mod flash {
    use super::*;

    const NAME: &str = "insighthub_form";
    /// Seconds; the browser follows the redirect at once.
    const LIFE: u32 = 60;
    /// Browsers keep at least 4 KB a cookie, name and attributes included.
    const LARGEST: usize = 3_600;

    fn cookie(page: &str, value: &str, life: u32, secure: bool) -> String {
        let secure = if secure { "; Secure" } else { "" };
        format!("{NAME}={value}; Path={page}; Max-Age={life}; HttpOnly; SameSite=Lax{secure}")
    }

    pub(super) fn set(page: &str, state: &FormState) {
        let Ok(world) = world() else { return };
        // A cookie is for a path; what the page was asked for besides is none of it.
        let path = page.split('?').next().unwrap_or(page);
        if let Some(cookie) = cookie_of(path, state, &*world.cookies) {
            add_header(header::SET_COOKIE, &cookie);
        }
    }

    /// The `Set-Cookie` value with which a form outside of the server functions leads back to its page: `messages` are
    /// shown there once.
    pub fn refused(
        page: &str,
        field: &str,
        messages: &[String],
        cookies: &dyn SessionCookies,
    ) -> Option<String> {
        let mut state = FormState::default();
        messages.iter().for_each(|message| state.errors.add(field, message));
        cookie_of(page, &state, cookies)
    }

    fn cookie_of(page: &str, state: &FormState, cookies: &dyn SessionCookies) -> Option<String> {
        let sealed = |state: &FormState| cookies.seal(&serde_json::to_string(state).ok()?);
        let whole = sealed(state).filter(|text| text.len() <= LARGEST);
        // Messages matter more than what was typed.
        let text = whole.or_else(|| sealed(&FormState { values: Default::default(), ..state.clone() }));
        text.filter(|text| text.len() <= LARGEST).map(|text| cookie(page, &text, LIFE, cookies.secure()))
    }

    /// What the form of this page has to show, once.
    pub fn take(page: &str) -> FormState {
        let headers = request_headers();
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let Some((_, value)) = pairs.find(|(name, _)| *name == NAME) else {
            return FormState::default();
        };
        let Ok(world) = world() else { return FormState::default() };
        add_header(header::SET_COOKIE, &cookie(page, "", 0, world.cookies.secure()));
        world.cookies.open(value).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
    }
}
