//! A word about what happened, wherever the person is: a job ended, a document gets nowhere, another browser signed in. Of
//! all the tabs of a browser the first one that somebody looks at says it, and no other; the end of a job is said in one
//! browser alone. While nobody looks at any, the system may. What ended while there was no tab at all is said in one word
//! to whoever comes back. What is said at all is the person's choice.

use super::{desktop, job_title};
use crate::{
    components::{Each, Toast, Tone},
    effect::effect,
    live::Live,
    locks::{self, Hold},
    paths,
    server_fns::shell::{AwayNote, tell_away, tell_end},
    stores::{News, Stores},
    undo::Offers,
    view,
    wire::Wire,
};
use domain::{
    Document, Job, JobId, JobKind, JobStatus, UserId,
    message::{count, number},
    resource::Notifications,
};
use leptos::{ev, prelude::*, task::spawn_local, web_sys};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use std::{cell::Cell, collections::VecDeque, rc::Rc, time::Duration};

/// So long a good word stays; what went wrong stays until it is dismissed.
const STAYS: Duration = Duration::from_secs(10);
/// A tab that nobody looks at leaves others so long to say it: one of them may be looked at. They hear of it at most a
/// second later.
const OTHERS_FIRST: Duration = Duration::from_millis(1_500);
/// No more than these are shown at once; older ones go.
const MOST: usize = 4;
/// The browser remembers that so many were told.
const REMEMBERED: usize = 50;
/// What one tab remembers all others see after this time at the latest, in milliseconds; until then a lock holds them off.
const SPREADS: i32 = 5_000;
/// Of no more than these it is found out at once whether somebody told them. Who comes back may have missed hundreds.
const AT_ONCE: usize = 4;

/// Which of the choices it falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Done,
    Failed,
    Stalled,
    SignIn,
}

impl Kind {
    const fn is_wanted(self, wanted: &Notifications) -> bool {
        match self {
            Kind::Done => wanted.done,
            Kind::Failed => wanted.failed,
            Kind::Stalled => wanted.stalled,
            Kind::SignIn => wanted.sign_ins,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Notice {
    rev: u64,
    /// Whom it tells, and what it is known by: the same in every tab.
    user: UserId,
    about: String,
    /// The job that ended with this, and its attempt.
    end: Option<(JobId, u32)>,
    kind: Kind,
    tone: Tone,
    text: String,
    /// Where it leads.
    to: String,
}

/// Those on screen.
type Shown = RwSignal<Vec<Notice>>;

#[component]
pub fn Notices() -> impl IntoView {
    let stores = Stores::expect();
    let news = RwSignal::from(stores.news());
    let user = stores.user();
    let shown: Shown = RwSignal::new(vec![]);
    let navigate = use_navigate();
    // What is to be said, of all that has come. It is not there for the next look.
    let taken = move || {
        let wanted = user.with_untracked(|user| user.as_ref().map(|u| u.notifications)).unwrap_or_default();
        let all = news.try_update(std::mem::take).unwrap_or_default();
        all.iter().filter_map(notice).filter(move |notice| notice.kind.is_wanted(&wanted)).collect::<Vec<_>>()
    };
    let by_system = {
        let user = stores.user();
        move || {
            user.with_untracked(|user| user.as_ref().is_some_and(|u| u.notifications.desktop))
                && desktop::Permission::of_browser() == desktop::Permission::Granted
        }
    };
    let queue = StoredValue::new(VecDeque::<(Notice, bool)>::new());
    let asking = StoredValue::new(0_usize);
    let say = StoredValue::new(Callback::new(move |()| {
        let is_seen = is_seen();
        // It stays until somebody looks, here or elsewhere.
        if !is_seen && !by_system() {
            return;
        }
        let fresh = taken();
        let waits = queue.try_update_value(|queue| {
            queue.extend(fresh.into_iter().map(|notice| (notice, is_seen)));
            queue.len()
        });
        let free = AT_ONCE.saturating_sub(asking.try_get_value().unwrap_or(AT_ONCE));
        for _ in 0..free.min(waits.unwrap_or_default()) {
            asking.try_update_value(|n| *n += 1);
            let navigate = navigate.clone();
            spawn_local(async move {
                while let Some((notice, is_seen)) = queue.try_update_value(VecDeque::pop_front).flatten() {
                    if is_first_to_tell(&notice).await {
                        tell(shown, notice, is_seen, navigate.clone());
                    }
                }
                asking.try_update_value(|n| *n -= 1);
            });
        }
    }));
    let take = move || {
        if news.with_untracked(Vec::is_empty) {
            return;
        }
        let now = move || {
            say.try_with_value(|say| say.run(()));
        };
        if is_seen() { now() } else { set_timeout(now, OTHERS_FIRST) }
    };
    effect(move || {
        news.track();
        take();
    });
    let live = Live::expect();
    let is_open = live.is_open();
    let whose = RwSignal::from(stores.user());
    let asked = StoredValue::new(false);
    // Once the link is open, what ends is told by the stream. Up to there the server is asked, by a tab that is looked at.
    let ask = move || {
        if asked.get_value() || !is_open.get_untracked() || !is_seen() {
            return;
        }
        let Some((place, user)) = live.place().zip(whose.with_untracked(|user| user.as_ref().map(|u| u.id)))
        else {
            return;
        };
        asked.set_value(true);
        spawn_local(async move {
            match tell_away(place).await {
                Ok(Wire(Some(note))) => show(shown, away(user, note)),
                Ok(Wire(None)) => {}
                // Nobody was told. It is asked again when the link is back, or when somebody looks.
                Err(_) => {
                    asked.try_set_value(false);
                }
            }
        });
    };
    effect(move || {
        is_open.track();
        whose.track();
        ask();
    });
    effect(move || {
        let seen = window_event_listener(ev::visibilitychange, move |_| {
            take();
            ask();
        });
        on_cleanup(move || seen.remove());
    });
    view! {
        <section class="toasts" aria-label="Notices">
            <Offers />
            <Each
                each=move || shown.get().into_iter().map(|notice| (notice, shown)).collect()
                key=|(notice, _): &(Notice, Shown)| notice.rev.into()
                show=|(notice, shown)| view! { <Said notice shown /> }
            />
        </section>
    }
}

fn show(shown: Shown, notice: Notice) {
    let (rev, tone) = (notice.rev, notice.tone);
    shown.try_update(|all| {
        all.push(notice);
        let over = all.len().saturating_sub(MOST);
        all.drain(..over);
    });
    if tone == Tone::Done {
        set_timeout(move || pass(shown, rev), STAYS);
    }
}

/// A good word goes by itself, but for one that somebody reads or is about to press, whose focus would go with it.
fn pass(shown: Shown, rev: u64) {
    let used = document().query_selector(".toast:hover, .toast:focus-within").ok().flatten();
    if used.is_some() { set_timeout(move || pass(shown, rev), STAYS) } else { close(shown, rev) }
}

fn close(shown: Shown, rev: u64) {
    shown.try_update(|all| all.retain(|n| n.rev != rev));
}

#[component]
fn Said(notice: Notice, shown: Shown) -> impl IntoView {
    let Notice { rev, to, tone, text, end, .. } = notice;
    view! {
        // An end is said aloud in every tab, by the regions that are always there.
        <Toast tone text is_said=end.is_some() on_close=Callback::new(move |()| close(shown, rev))>
            <a class="link" href=to on:click=move |_| close(shown, rev)>
                "Show"
            </a>
        </Toast>
    }
}

fn is_seen() -> bool {
    document().visibility_state() == web_sys::VisibilityState::Visible
}

/// Shows it here, or has the system show it while nobody sees this tab.
fn tell(shown: Shown, notice: Notice, is_seen: bool, navigate: impl Fn(&str, NavigateOptions) + 'static) {
    if !is_seen {
        let to = notice.to.clone();
        let go = move || navigate(&to, NavigateOptions::default());
        if desktop::show(&notice.text, &notice.about, go) {
            return;
        }
    }
    show(shown, notice);
}

/// Whether nobody has told it yet. What a tab of this browser told is remembered here, and a lock decides between tabs that
/// learn of it in the same moment; between browsers the server decides, where it is the end of a job.
async fn is_first_to_tell(notice: &Notice) -> bool {
    let is_told = Rc::new(Cell::new(false));
    let (noted, mine) = (is_told.clone(), notice.clone());
    let name = format!("insighthub-told-{}", notice.about);
    let is_mine = locks::in_one_tab(&name, move || match remember(&mine) {
        Some(is_new) => {
            noted.set(!is_new);
            Hold::For(if is_new { SPREADS } else { 0 })
        }
        // Where nothing can be remembered, the lock is all that other tabs can know of it.
        None => Hold::UntilTheTabEnds,
    })
    .await;
    if !is_mine || is_told.get() {
        return false;
    }
    let Some((id, attempt)) = notice.end else { return true };
    // A server that cannot be asked costs a second notice at worst.
    !matches!(tell_end(id, attempt).await, Ok(Wire(false)))
}

/// Notes that it is told; whether that is new, or `None` where a browser keeps nothing.
fn remember(notice: &Notice) -> Option<bool> {
    let storage = window().local_storage().ok().flatten()?;
    let key = format!("insighthub-told-{}", notice.user);
    let told = storage.get_item(&key).ok()?.unwrap_or_default();
    let Some(told) = told_with(&told, &notice.about) else { return Some(false) };
    storage.set_item(&key, &told).ok().map(|()| true)
}

/// What was told, a line each, with one more; `None` when it is among it.
fn told_with(told: &str, end: &str) -> Option<String> {
    let mut lines: Vec<&str> = told.lines().collect();
    if lines.contains(&end) {
        return None;
    }
    lines.push(end);
    let over = lines.len().saturating_sub(REMEMBERED);
    Some(lines.split_off(over).join("\n"))
}

/// There is one for each page that is loaded, and no event of that number.
fn away(user: UserId, note: AwayNote) -> Notice {
    let AwayNote { text, failed, to } = note;
    let (kind, tone) = if failed { (Kind::Failed, Tone::Warning) } else { (Kind::Done, Tone::Done) };
    Notice { rev: u64::MAX, user, about: "away".to_owned(), end: None, kind, tone, text, to }
}

fn notice(news: &News) -> Option<Notice> {
    match news {
        News::Ended(job) => ended(job),
        News::Stalled(document) => stalled(document),
        News::SignedIn { user, device, rev } => Some(Notice {
            rev: *rev,
            user: *user,
            about: format!("sign-in/{rev}"),
            end: None,
            kind: Kind::SignIn,
            tone: Tone::Warning,
            text: format!("{device} signed in to your account."),
            to: paths::SETTINGS_SESSIONS.to_owned(),
        }),
    }
}

fn ended(job: &Job) -> Option<Notice> {
    let (tone, end) = outcome(job)?;
    Some(Notice {
        rev: job.rev,
        user: job.user_id,
        about: format!("{}/{}", job.job_id, job.attempt),
        end: Some((job.job_id, job.attempt)),
        kind: if tone == Tone::Done { Kind::Done } else { Kind::Failed },
        tone,
        text: format!("{}: {end}.", job_title(job)),
        // What was deleted has no page.
        to: if job.kind == JobKind::Delete { "/".to_owned() } else { paths::workspace(job.kb_id) },
    })
}

/// Once for each attempt: it is tried again a few times, and its end is told by its job.
fn stalled(document: &Document) -> Option<Notice> {
    let why = document.stalled()?;
    Some(Notice {
        rev: document.rev,
        user: document.user_id,
        about: format!("{}/{}/stalled", document.id, document.attempt),
        end: None,
        kind: Kind::Stalled,
        tone: Tone::Warning,
        text: format!("{} has stalled. {why}", document.filename),
        to: paths::document(document.id),
    })
}

/// What is to be said about the end of a job; nothing about one that somebody cancelled, who knows it.
pub(super) fn outcome(job: &Job) -> Option<(Tone, String)> {
    let failed = job.metrics.documents_failed;
    match job.status {
        JobStatus::Completed if failed == 0 => Some((Tone::Done, "done".to_owned())),
        JobStatus::Completed => {
            let read = count(job.metrics.documents_done, "file is ready", "files are ready");
            Some((Tone::Warning, format!("{read}, {} failed", number(failed))))
        }
        JobStatus::Failed => Some((
            Tone::Failed,
            job.error.as_deref().map_or("failed", |e| e.trim_end_matches('.')).to_owned(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{document, job, user};
    use domain::{
        DocumentStatus,
        resource::{STALLED, Warning},
    };

    fn of_end(status: JobStatus, done: u64, failed: u64) -> Option<(Tone, String)> {
        let mut job = job(1, 5, status);
        (job.metrics.documents_done, job.metrics.documents_failed) = (done, failed);
        job.error = (status == JobStatus::Failed).then(|| "All 2 files failed.".to_owned());
        outcome(&job)
    }

    #[test]
    fn an_end_is_told_once_and_the_oldest_are_forgotten() {
        let mut told = String::new();
        for n in 0..60 {
            told = told_with(&told, &format!("job-{n}/1")).expect("it is new");
            assert_eq!(told_with(&told, &format!("job-{n}/1")), None);
        }
        assert_eq!(told.lines().count(), REMEMBERED);
        assert!(told_with(&told, "job-59/2").is_some(), "another attempt has another end");
        assert!(told_with(&told, "job-0/1").is_some());
    }

    #[test]
    fn an_end_says_how_it_went() {
        assert_eq!(of_end(JobStatus::Completed, 4, 0), Some((Tone::Done, "done".into())));
        assert_eq!(
            of_end(JobStatus::Completed, 1, 2),
            Some((Tone::Warning, "1 file is ready, 2 failed".into()))
        );
        assert_eq!(
            of_end(JobStatus::Completed, 8_800, 1_200),
            Some((Tone::Warning, "8,800 files are ready, 1,200 failed".into()))
        );
        assert_eq!(of_end(JobStatus::Failed, 0, 2), Some((Tone::Failed, "All 2 files failed".into())));
        assert_eq!(of_end(JobStatus::Cancelled, 0, 0), None);
        assert_eq!(of_end(JobStatus::Running, 0, 0), None);
    }

    #[test]
    fn of_each_kind_of_news_only_what_is_wanted_is_said() {
        let mut part = job(1, 5, JobStatus::Completed);
        part.metrics.documents_failed = 1;
        let mut slow = document(1, 6, DocumentStatus::Processing);
        slow.warnings =
            vec![Warning { code: STALLED.into(), message: "Nothing came. Trying again (2 of 3).".into() }];
        let signed_in = News::SignedIn { user: user(), device: "Firefox on Linux".into(), rev: 9 };
        let of_each = [
            (News::Ended(job(1, 4, JobStatus::Completed)), Kind::Done),
            (News::Ended(part), Kind::Failed),
            (News::Ended(job(1, 4, JobStatus::Failed)), Kind::Failed),
            (News::Stalled(slow.clone()), Kind::Stalled),
            (signed_in.clone(), Kind::SignIn),
        ];
        let nothing =
            Notifications { done: false, failed: false, stalled: false, sign_ins: false, desktop: true };
        let only = [
            (Kind::Done, Notifications { done: true, ..nothing }),
            (Kind::Failed, Notifications { failed: true, ..nothing }),
            (Kind::Stalled, Notifications { stalled: true, ..nothing }),
            (Kind::SignIn, Notifications { sign_ins: true, ..nothing }),
        ];
        for (news, kind) in of_each {
            let notice = notice(&news).expect("a word");
            assert_eq!(notice.kind, kind);
            assert!(!kind.is_wanted(&nothing) && kind.is_wanted(&Notifications::default()), "{kind:?}");
            for (other, wanted) in &only {
                assert_eq!(kind.is_wanted(wanted), kind == *other, "{kind:?} {other:?}");
            }
        }
        let said = notice(&News::Stalled(slow)).expect("a word");
        assert_eq!(said.text, "1.txt has stalled. Nothing came. Trying again (2 of 3).");
        assert_eq!(notice(&signed_in).expect("a word").text, "Firefox on Linux signed in to your account.");
        assert_eq!(notice(&News::Ended(job(1, 4, JobStatus::Cancelled))), None, "who did it knows it");
    }
}
