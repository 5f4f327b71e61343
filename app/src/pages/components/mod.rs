//! Every component in every state and in both themes, on one page: for whoever changes the look, and for the
//! end-to-end tests, which photograph it. Debug builds only.

mod controls;
mod samples;
mod states;
mod work;

use crate::{components::*, view};
use controls::{Buttons, Fields};
use domain::{provision::ProvisionStep, shown::Shown};
use leptos::prelude::*;
use samples::{ROWS, all_shown, at, phases, steps};
use states::States;
use work::Work;

/// The page at `/components`.
#[component]
pub fn ComponentsPage() -> impl IntoView {
    view! {
        <TabTitle text="Components" />
        <main class="page">
            <PageHeader title="Components" note="Every part in every state, light and dark." />
            <div class="stack gap-6">
                <Specimens theme="light" />
                <Specimens theme="dark" />
                // Once: they have landmarks, whose names are theirs alone on a page. They follow the reader's theme.
                <div class="stack gap-6 p-4" data-live="open">
                    <Work />
                </div>
            </div>
        </main>
    }
}

#[component]
fn Specimens(theme: &'static str) -> impl IntoView {
    view! {
        <div class="stack gap-6 rounded-lg p-4" data-theme=theme data-live="open">
            <Badges />
            <Part title="When the live link is down">
                <div class="row gap-6" data-live="closed">
                    <StatusBadge shown=Signal::stored(Shown::Processing { percent: 62.0 }) />
                    <StatusBadge shown=Signal::stored(Shown::Provisioning) size=BadgeSize::Md />
                    <ConnectionBadge link=Signal::stored(Link::Closed) since=at(0) />
                </div>
            </Part>
            <Part title="Connection" sample="ConnectionBadge">
                <div class="row">
                    <ConnectionBadge link=Signal::stored(Link::Open) />
                    <ConnectionBadge link=Signal::stored(Link::Open) by=("stream", "By server-sent events.") />
                    <ConnectionBadge link=Signal::stored(Link::Open) by=("polling", "By long polling.") />
                    <ConnectionBadge link=Signal::stored(Link::Open) late=Signal::stored(true) />
                    <ConnectionBadge link=Signal::stored(Link::Connecting) />
                    <ConnectionBadge link=Signal::stored(Link::Closed) since=at(0) />
                </div>
            </Part>
            <Phases />
            <Bars />
            <Part title="Document rows" sample="FileName FileTypeIcon DocumentProgress Ago">
                <Rows />
            </Part>
            <Part title="Steps" sample="StepTimeline">
                <div class="panel">
                    <StepTimeline steps=Signal::stored(steps()) />
                </div>
            </Part>
            <Part title="Steps of a piece of work" sample="ProgressIndicator">
                <div class="card-grid">
                    <div class="panel">
                        <Provisioning done=1 />
                    </div>
                    <div class="panel">
                        <Provisioning done=4 />
                    </div>
                </div>
            </Part>
            <Buttons theme />
            <Fields theme />
            <Lists />
            <States />
            <Icons />
        </div>
    }
}

#[component]
fn Part(
    title: &'static str,
    /// The components that stand here, in each of their states.
    #[prop(default = "")]
    sample: &'static str,
    children: Children,
) -> impl IntoView {
    view! {
        <section class="section" data-sample=sample>
            <h2 class="section-title">{title}</h2>
            {children()}
        </section>
    }
}

#[component]
fn Badges() -> impl IntoView {
    let of_size = |size: BadgeSize| {
        all_shown()
            .into_iter()
            .map(move |s| view! { <StatusBadge shown=Signal::stored(s) size /> })
            .collect_view()
    };
    view! {
        <Part title="States" sample="StatusBadge LoadingSpinner">
            <div class="row gap-x-5">{of_size(BadgeSize::Sm)}</div>
            <div class="row">{of_size(BadgeSize::Md)}</div>
            <StatusBadge
                shown=Signal::stored(Shown::Processing { percent: 75.0 })
                message="Creating embeddings: 96 of 128 chunks…".to_owned()
            />
            <div class="row gap-5">
                <LoadingSpinner size=Size::Sm />
                <LoadingSpinner size=Size::Md />
                <LoadingSpinner size=Size::Lg />
            </div>
        </Part>
    }
}

#[component]
fn Phases() -> impl IntoView {
    let [overlapping, stopped, finished] = phases();
    view! {
        <Part title="Phases" sample="PhaseTimeline">
            <div class="panel stack gap-6">
                <PhaseTimeline phases=Signal::stored(overlapping) />
                <PhaseTimeline phases=Signal::stored(stopped) />
                <PhaseTimeline phases=Signal::stored(finished) />
            </div>
        </Part>
    }
}

#[component]
fn Bars() -> impl IntoView {
    view! {
        <Part title="Progress" sample="ProgressBar">
            <ProgressBar value=Signal::stored(Some(70.0)) label=Signal::stored("105 of 150 documents".to_owned()) />
            <ProgressBar
                value=Signal::stored(Some(8.37))
                label=Signal::stored("324 of 3,870 chunks".to_owned())
                tenths=true
            />
            <ProgressBar value=Signal::stored(None) label=Signal::stored("1,204 pages so far".to_owned()) />
        </Part>
    }
}

#[component]
fn Rows() -> impl IntoView {
    view! {
        <div class="doc-table" role="table" aria-label="Documents">
            <div class="doc-row doc-head" role="row">
                <span></span>
                <span role="columnheader">"Name"</span>
                <span role="columnheader">"Status"</span>
                <span role="columnheader">
                    <span class="sr-only">"What happens"</span>
                </span>
                <span class="doc-size" role="columnheader">
                    "Size"
                </span>
                <span class="doc-when" role="columnheader">
                    "Changed"
                </span>
                <span></span>
            </div>
            {ROWS
                .into_iter()
                .map(|(name, mime, shown, message, size)| {
                    let percent = match shown {
                        Shown::Processing { percent } => percent,
                        Shown::Paused => 78.0,
                        _ => 0.0,
                    };
                    let status = shown.key();
                    view! {
                        <div class="doc-row" role="row" data-status=status>
                            <span class="doc-icon" role="cell">
                                <FileTypeIcon mime=mime.to_owned() />
                            </span>
                            <span class="doc-name" role="cell">
                                <a href="#">
                                    <FileName name=name.to_owned() />
                                </a>
                            </span>
                            <span class="doc-state" role="cell">
                                <StatusBadge shown=Signal::stored(shown) />
                            </span>
                            <span class="doc-message" role="cell">
                                {message}
                            </span>
                            <span class="doc-size" role="cell">
                                {words::bytes(size)}
                            </span>
                            <span class="doc-when" role="cell">
                                <Ago at=Signal::stored(at(0)) />
                            </span>
                            <span class="doc-actions" role="cell">
                                <span class="doc-quick">
                                    <IconButton icon=IconName::Trash label=format!("Delete {name}") />
                                </span>
                                <Menu label=format!("Actions for {name}") trigger=|| view! { <Icon name=IconName::More /> }>
                                    <button type="button" class="menu-item">
                                        <Icon name=IconName::Refresh />
                                        "Re-index"
                                    </button>
                                    <MenuLine />
                                    <button type="button" class="menu-item" data-danger>
                                        <Icon name=IconName::Trash />
                                        "Delete"
                                    </button>
                                </Menu>
                            </span>
                            <DocumentProgress value=percent />
                        </div>
                    }
                })
                .collect_view()}
        </div>
    }
}

#[component]
fn Provisioning(done: usize) -> impl IntoView {
    let steps: Vec<_> = ProvisionStep::ALL
        .iter()
        .enumerate()
        .map(|(i, step)| ProgressStep::new(step.title(), i < done))
        .collect();
    view! {
        <ProgressIndicator
            title=Signal::stored(if done == 4 { "Ready" } else { "Making this workspace ready" }.to_owned())
            description="Files can be added as soon as it is.".to_owned()
            steps=Signal::stored(steps)
        />
    }
}

/// What stands in lists and lines: times, what was said, rows of a list.
#[component]
fn Lists() -> impl IntoView {
    view! {
        <Part title="Lines" sample="Said Exactly OnDay Each">
            <Said text=Signal::stored(Some("Your profile is saved.".to_owned())) />
            <p class="muted">
                <Exactly at=at(0) /> " · " <OnDay at=at(0) />
            </p>
            <ul class="lines">
                <Each
                    each=|| vec!["Firefox on Linux", "Safari on an iPhone"]
                    key=|name: &&str| key_of(0, name)
                    show=|name| view! { <li class="line">{name}</li> }
                />
            </ul>
        </Part>
    }
}

#[component]
fn Icons() -> impl IntoView {
    view! {
        <Part title="Icons" sample="Icon LiveIcon">
            <div class="row gap-4">
                {IconName::ALL
                    .iter()
                    .map(|(name, icon)| {
                        view! {
                            <span title=*name class="row gap-1">
                                <Icon name=*icon />
                                <Icon name=*icon size=20 />
                            </span>
                        }
                    })
                    .collect_view()}
            </div>
        </Part>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html() -> String {
        Owner::new().with(|| {
            leptos_meta::provide_meta_context();
            view! { <ComponentsPage /> }.to_html()
        })
    }

    /// What is no component, or shows nothing where it stands.
    const NOT_SHOWN: [&str; 17] = [
        "AwaitedTabTitle",
        "AwaitedTitle",
        "BadgeSize",
        "ButtonKind",
        "IconName",
        "Link",
        "NOT_FOUND",
        "Now",
        "PageHeader", // Once on a page: at the top of this one.
        "ProgressStep",
        "SelectOption",
        "Size",
        "TabTitle",
        "Tone",
        "key_of",
        "provide_now",
        "use_now",
    ];

    #[test]
    fn every_component_stands_in_the_gallery() {
        let html = html();
        let samples: Vec<&str> =
            html.split("data-sample=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let samples: Vec<&str> = samples.iter().flat_map(|names| names.split(' ')).collect();
        let exported = include_str!("../../components/mod.rs").split(';').filter_map(|line| {
            let (_, names) = line.trim().strip_prefix("pub use ")?.split_once("::")?;
            Some(names.trim_matches(['{', '}']).split(',').map(str::trim).filter(|name| !name.is_empty()))
        });
        let shown =
            |name: &&str| !NOT_SHOWN.contains(name) && name.starts_with(|c: char| c.is_ascii_uppercase());
        let missing: Vec<&str> =
            exported.flatten().filter(shown).filter(|name| !samples.contains(name)).collect();
        assert!(missing.is_empty(), "in no sample: {missing:?}");
        // And the parts of pages that have states of their own.
        for name in ["JobPanel", "Tray", "Making", "UploadRow", "Picker", "DropOverlay", "Drawn"] {
            assert!(samples.contains(&name), "{name}");
        }
    }

    #[test]
    fn an_upload_is_shown_in_each_of_its_states() {
        let html = html();
        for (name, word) in [
            ("minutes.txt", "Waiting"),
            ("annual-report-2024.pdf", "Uploading · 42 %"),
            ("handbook.html", "Uploaded"),
            ("notes.md", "Uploaded"),
            ("empty.txt", "Not taken"),
            ("budget.xlsx", "Not uploaded"),
        ] {
            let row = html.split("data-upload=\"").find(|row| row.starts_with(name)).expect(name);
            assert!(row.contains(word), "{name}: {row}");
        }
    }

    #[test]
    fn a_locked_link_leads_nowhere_says_why_and_is_still_reached_by_the_keyboard() {
        let html = html();
        let at = html.find("A locked link").expect("the sample");
        let link = &html[html[..at].rfind("<a").expect("a link")..at];
        for part in
            ["aria-disabled=\"true\"", "role=\"link\"", "tabindex=\"0\"", "This workspace is being deleted."]
        {
            assert!(link.contains(part), "{part}: {link}");
        }
        assert!(!link.contains("href"), "{link}");
    }

    #[test]
    fn no_component_writes_a_style_attribute() {
        let html = html();
        assert!(html.contains("phase-timeline"), "the page is there");
        assert!(!html.contains(" style="), "the content security policy forbids it");
    }

    #[test]
    fn a_part_that_fails_is_told_in_its_place_and_its_neighbours_stay() {
        let html = html();
        let sample = html.split("data-sample=\"boundary\"").nth(1).unwrap_or_default();
        let place = |text: &str| sample.find(text).unwrap_or_else(|| panic!("no {text} in {sample}"));
        let problem = domain::Problem::internal();
        let broken = place("This card could not be shown");
        assert!(place("The card before") < broken && broken < place("The card after"));
        assert!((broken..place("The card after")).contains(&place(&problem.code)), "the code to report");
    }

    #[test]
    fn every_state_has_its_colour_its_icon_and_its_word() {
        let html = html();
        for shown in all_shown() {
            // Attributes come in no promised order, so the badge is found by the one that names its state.
            let badge = html
                .split("data-status=\"")
                .find(|b| b.starts_with(&format!("{}\"", shown.key())) && b.contains(&shown.words()))
                .unwrap_or_else(|| panic!("no badge for {shown:?}"));
            let icon = badge.split("</svg>").next().unwrap_or_default();
            assert!(icon.contains("<circle") || icon.contains("<path"), "no icon for {shown:?}");
        }
    }

    #[test]
    fn a_phase_reads_as_a_sentence_and_a_failed_one_has_its_error_in_place() {
        let html = html();
        assert!(html.contains("Chunking, running, 105 of 150, 70 percent"));
        let failed = html.split("data-phase=\"embedding\"").find(|p| p.contains("model.safetensors"));
        assert!(failed.is_some_and(|p| p.contains("<details")));
    }
}
