//! The parts that show work as it goes on. They read stores, so the gallery gives them some of its own.

use super::{
    super::{
        analytics::Drawn,
        workspace::gallery::{DropOverlay, JobPanel, Making, Picker, UploadRow},
    },
    Part,
    samples::{at, phases, steps},
};
use crate::{
    activity::Tray,
    clock::WorkClock,
    components::{JobWaterfall, Now, Waterfall},
    live::Live,
    samples::{id, job, person, workspace},
    server_fns::history::sample_charts,
    stores::Stores,
    upload::{Speed, State, Uploads},
    view,
};
use domain::{
    Epoch, Job, JobStatus, Workspace, WorkspaceId, WorkspaceStatus,
    pages::{Shell, Since},
    provision::{Change, ProvisionStep, WorkspaceAction, advance, move_to},
};
use leptos::{context::Provider, prelude::*};

/// The workspace that the parts are about, as it is while `job` runs in it.
const PLACE: u64 = 1;

fn stores() -> Stores {
    let mut running = Job { phase_details: phases()[0].clone(), ..job(50, 5, JobStatus::Running) };
    (running.metrics.documents_total, running.metrics.documents_done, running.metrics.documents_failed) =
        (40, 12, 1);
    (running.progress, running.eta_seconds, running.rate) = (31.0, Some(95), Some(31.2));
    let stores = Stores::new();
    stores.put_shell(&Shell {
        since: Since { epoch: Epoch("gallery".into()), seq: 9 },
        user: person(),
        workspaces: vec![Workspace { name: "Contracts".into(), ..workspace(PLACE, 4) }],
        jobs: vec![running],
        max_file_bytes: 100 << 20,
    });
    stores
}

#[component]
pub fn Work() -> impl IntoView {
    let stores = stores();
    let live = Live::new(stores);
    let clock = WorkClock(Now { at: RwSignal::new(Some(at(9))), zone: RwSignal::new(None) });
    let place: WorkspaceId = id(PLACE);
    view! {
        <Provider value=stores>
            <Provider value=live>
                <Provider value=clock>
                    <Part title="A job" sample="JobPanel Tray">
                        <JobPanel id=place />
                        <Tray />
                    </Part>
                    <Part title="Over time" sample="Waterfall JobWaterfall">
                        <div class="panel">
                            <Waterfall steps=Signal::stored(steps()) />
                        </div>
                        <div class="panel">
                            <JobWaterfall phases=Signal::stored(phases()[1].clone()) steps=Signal::stored(steps()) />
                        </div>
                    </Part>
                    <Part title="A workspace on its way" sample="Making">
                        <Making id=place workspace=RwSignal::new(Some(being_made())) />
                        <Making id=place workspace=RwSignal::new(Some(not_made())) />
                    </Part>
                    <Provider value=Uploads::of_gallery(stores, live, place, files())>
                        <Ways place />
                        <Part title="Files on their way" sample="UploadRow">
                            <div class="doc-table" role="table" aria-label="Files on their way">
                                {(0..files().len() as u64).map(|key| view! { <UploadRow key_of=key /> }).collect_view()}
                            </div>
                        </Part>
                    </Provider>
                    <Part title="Charts" sample="Drawn">
                        {sample_charts().into_iter().map(|chart| view! { <Drawn chart=Signal::stored(chart) /> }).collect_view()}
                    </Part>
                </Provider>
            </Provider>
        </Provider>
    }
}

/// The way in for files: open, shut with the reason, and what hovers over the page while files are dragged over it.
#[component]
fn Ways(place: WorkspaceId) -> impl IntoView {
    let refusal =
        WorkspaceStatus::Provisioning.refuses(WorkspaceAction::Upload).map(|refusal| refusal.sentence);
    let locked = |reason| Memo::new(move |_| reason);
    view! {
        <Part title="The way in for files" sample="Picker DropOverlay">
            <Picker id=place locked=locked(None) />
            <Picker id=place locked=locked(refusal) />
            <div class="gallery-stage" data-over="">
                <DropOverlay id=place locked=locked(None) />
            </div>
        </Part>
    }
}

/// Two steps are through, the third runs.
fn being_made() -> Workspace {
    let mut made = Workspace { status: WorkspaceStatus::Error, ..workspace(PLACE, 4) };
    let mut change = |change: &Change| {
        let _ = advance(&mut made, change, at(0));
    };
    change(&Change::Retry);
    for step in [ProvisionStep::Settings, ProvisionStep::Storage] {
        change(&Change::Begin(step));
        change(&Change::Done(step));
    }
    change(&Change::Begin(ProvisionStep::Model));
    made
}

fn not_made() -> Workspace {
    let mut failed = being_made();
    let message = "The embedding model all-MiniLM-L6-v2 is not on this server.";
    let _ = move_to(&mut failed, WorkspaceStatus::Error, Some(message.into()));
    if let Some(provisioning) = &mut failed.provisioning {
        provisioning.steps[2].status = domain::provision::ProvisionStatus::Failed;
        provisioning.error_code = Some("model_missing".into());
        provisioning.error_hint = Some("Bring it with `cargo xtask setup` and retry.".into());
    }
    failed
}

/// A file in each state that an upload can be in.
fn files() -> Vec<(&'static str, &'static str, u64, State)> {
    let speed = Speed { bytes_a_second: 1_200_000, seconds_left: 34 };
    vec![
        ("minutes.txt", "text/plain", 8_120, State::Waiting),
        ("annual-report-2024.pdf", "application/pdf", 48_302_110, State::Sending(42.0, Some(speed))),
        ("atlas-of-the-coast.pdf", "application/pdf", 61_004_800, State::Paused(62.0)),
        ("minutes-2019.pdf", "application/pdf", 22_100_000, State::Held(18.0)),
        ("minutes-2020.pdf", "application/pdf", 24_700_000, State::Reselect(62.0)),
        ("handbook.html", "text/html", 183_000, State::Kept),
        ("notes.md", "text/markdown", 4_100, State::Joining),
        ("empty.txt", "text/plain", 0, State::Refused("The file is empty.".into())),
        (
            "budget.xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            54_000,
            State::Broken("The connection broke. Try again.".into()),
        ),
    ]
}
