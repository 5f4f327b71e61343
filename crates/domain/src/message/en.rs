//! English.

use super::{FILE, Facts, Sentence};
use crate::{
    crawl::{MOST_LINKS, MOST_SITEMAPS, PAGE_BYTES, PageFault, SkipReason},
    status::PhaseName,
    step::Step,
    timestamp::Timestamp,
};

/// A number with separators: 12,345.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// "1 page", "2 pages", "1,200 pages".
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// A time to wait: "42 seconds", "1 minute", "3 hours"; rounded up.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..=90 => count(seconds, "second", "seconds"),
        91..=5_400 => count(seconds.div_ceil(60), "minute", "minutes"),
        _ => count(seconds.div_ceil(3_600), "hour", "hours"),
    }
}

/// A time of day: "14:03:20 UTC". The server does not know where its readers are.
fn clock(at: Timestamp) -> String {
    let civil = at.civil(0);
    format!("{:02}:{:02}:{:02} UTC", civil.hour, civil.minute, civil.second)
}

/// The same with its day, of what may stand for days: "2026-01-31, 14:03:20 UTC".
fn moment(at: Timestamp) -> String {
    let civil = at.civil(0);
    format!("{:04}-{:02}-{:02}, {}", civil.year, civil.month, civil.day, clock(at))
}

/// The sentence for a step.
pub(super) fn step(step: &Step, facts: &Facts) -> String {
    let file = facts.filename.as_deref();
    let this = file.unwrap_or("this file");
    match step {
        Step::Validating => format!("Checking {this}…"),
        Step::ExtractingText => match facts.pages {
            Some(n) => format!("Reading {}…", count(n, "page", "pages")),
            None => format!("Reading the text of {}…", file.unwrap_or("your file")),
        },
        Step::ChunkingText | Step::ProcessingContent => match facts.chunks {
            Some(n) => format!("Split the text into {}", count(n, "chunk", "chunks")),
            None => "Splitting the text into chunks…".into(),
        },
        Step::CreatingEmbeddings => match (facts.done, facts.chunks) {
            (Some(done), Some(all)) => {
                format!("Creating embeddings: {} of {}…", number(done), count(all, "chunk", "chunks"))
            }
            (None, Some(all)) => format!("Creating embeddings for {}…", count(all, "chunk", "chunks")),
            _ => "Creating embeddings…".into(),
        },
        Step::StoringMetadata => "Storing the index…".into(),
        Step::Finished => match facts.chunks {
            Some(n) => format!("Done: {} ready to search", count(n, "chunk", "chunks")),
            None => "Done".into(),
        },
        Step::Initializing => "Getting ready…".into(),
        Step::Crawling => match facts.pages {
            Some(n) => format!("Reading the site: {} so far…", count(n, "page", "pages")),
            None => "Reading the site…".into(),
        },
        Step::RetrievingContext => "Looking for passages that answer your question…".into(),
        Step::SelectingModel => "Choosing a model…".into(),
        Step::GeneratingResponse => "Writing the answer…".into(),
        Step::StoringResponse => "Saving the answer…".into(),
        Step::InitializingStreaming => format!("Getting ready to read {}…", file.unwrap_or("your file")),
        Step::DuplicateCheck => format!("Checking if I've seen {this} before…"),
        Step::FieldDetection => match facts.columns {
            Some(n) => format!("Found {} in your data", count(n, "column", "columns")),
            None => "Analyzing the structure of your data…".into(),
        },
        Step::PlatformDetection => match &facts.origin {
            Some(origin) => format!("This comes from {origin}"),
            None => "Figuring out where this data came from…".into(),
        },
        Step::DocumentClassification => match &facts.kind {
            Some(kind) => format!("This looks like {kind}"),
            None => "Understanding what type of document this is…".into(),
        },
        Step::StartingTransaction => "Setting up secure storage for your data…".into(),
        Step::Storing => format!("Saving the details of {}…", file.unwrap_or("your file")),
        Step::Extracting => match facts.rows {
            Some(n) => format!("Reading through {}…", count(n, "row", "rows")),
            None => "Reading through your data…".into(),
        },
        Step::ProcessingDecision => "Processing your request…".into(),
        Step::DuplicateFound => match &facts.similar_name {
            Some(name) => format!("Found an exact match: {name} has the same content"),
            None => "Found an exact match: I've processed this before".into(),
        },
        Step::NearDuplicateFound => match facts.similarity {
            Some(s) => {
                let percent = percent(s);
                let article = if percent == 8 || percent == 11 || percent == 18 || percent / 10 == 8 {
                    "an"
                } else {
                    "a"
                };
                let with = facts.similar_name.as_deref().unwrap_or("something I processed earlier");
                let parts = match (facts.new_chunks, facts.shared_chunks) {
                    (Some(new), Some(old)) => {
                        format!(": {}, {} known", count(new, "new part", "new parts"), number(old))
                    }
                    _ => String::new(),
                };
                format!("Found {article} {percent} % match with {with}{parts}")
            }
            None => "Found a similar file: let me compare them".into(),
        },
        Step::ContentDuplicateFound => "This data overlaps with something I already have".into(),
        Step::DeltaAnalysisComplete => match (facts.new_rows, facts.existing_rows) {
            (Some(new), Some(old)) => format!(
                "Spotted the differences: {}, {} I already know",
                count(new, "new row", "new rows"),
                number(old)
            ),
            _ => "Spotted the differences in your data".into(),
        },
        Step::EntityResolution => "Matching entities across your data…".into(),
        Step::Classification => "Categorizing what I found…".into(),
        Step::Enrichment => match (facts.read, facts.chunks) {
            (Some(done @ 1..), Some(all)) => {
                format!("Adding context to your data: {} of {}…", number(done), count(all, "chunk", "chunks"))
            }
            _ => "Adding context to your data…".into(),
        },
        Step::Complete => match file {
            Some(name) => format!("Done! {name} is ready"),
            None => "Done! I've processed your file successfully".into(),
        },
        Step::Error => match &facts.reason {
            Some(reason) => reason.clone(),
            None => "Something went wrong with this file".into(),
        },
        Step::Other(name) => match &facts.sentence {
            Some(sentence) => sentence.replace(FILE, this),
            None => readable(name),
        },
    }
}

/// What is said of a job, or of a document's fate.
pub(super) fn sentence(sentence: &Sentence<'_>) -> String {
    let why = |seconds: u64, phase: PhaseName| {
        format!("There was no progress for {} while {}", duration(seconds), at_work(phase))
    };
    match *sentence {
        Sentence::Waiting { documents } => {
            format!("Waiting to start with {}", count(documents, "document", "documents"))
        }
        Sentence::AtWork { phase, done, of } => {
            let of = |what| format!("{} of {} {what}", number(done), number(of));
            match phase {
                PhaseName::Loading => format!("Reading: {}", of("documents")),
                PhaseName::Chunking => format!("Splitting: {}", of("documents")),
                PhaseName::Embedding => format!("Creating embeddings: {}", of("chunks")),
                PhaseName::Indexing => format!("Indexing: {}", of("chunks")),
            }
        }
        Sentence::AllReady { documents } => format!("{} ready", count(documents, "document", "documents")),
        Sentence::SomeReady { ready, of, failed, cancelled } => {
            let others =
                |n: u64, what| if n == 0 { String::new() } else { format!(", {} {what}", number(n)) };
            let of = count(of, "document", "documents");
            format!(
                "{} of {of} ready{}{}",
                number(ready),
                others(failed, "failed"),
                others(cancelled, "cancelled")
            )
        }
        Sentence::Cancelled { ready: 0, .. } => "Cancelled".into(),
        Sentence::Cancelled { ready, of } => {
            format!("Cancelled; {} of {} ready", number(ready), count(of, "document", "documents"))
        }
        Sentence::NoneReady { of: 1 } => "The document could not be processed".into(),
        Sentence::NoneReady { of } => format!("None of {} documents could be processed", number(of)),
        Sentence::StalledOnce { seconds, phase, next, of } => {
            format!("{}. Trying again ({next} of {of}).", why(seconds, phase))
        }
        Sentence::StalledForGood { seconds, phase, tries } => {
            format!("{}, {tries} times in a row.", why(seconds, phase))
        }
        Sentence::StalledHint => "Try again later; if it happens once more, ask the operator.".into(),
        Sentence::Unheard { since } => format!(
            "Nothing was heard of it from the outside worker since {}. It goes on with the next report.",
            moment(since)
        ),
        Sentence::Interrupted => {
            "The work was interrupted, and nobody is at it just now. It goes on by itself, from where it \
             stopped, as soon as a worker is free."
                .into()
        }
        Sentence::ModelAway { since, busy, next_try } => {
            let what = if busy { "The embedding server has too much to do" } else { "The embedding server is unreachable" };
            let next = match next_try {
                Some(at) => format!("It is asked again at {}.", clock(at)),
                None => "The document waits, and goes on by itself.".into(),
            };
            format!("{what} since {}. {next}", clock(since))
        }
        Sentence::Pausing => "Pausing…".into(),
        Sentence::Cancelling => "Cancelling…".into(),
        Sentence::Paused { begun: Some(percent) } => format!("Paused at {percent} %"),
        Sentence::Paused { begun: None } => "Paused before it started".into(),
        Sentence::PausedAlone => "It is paused; the others go on.".into(),
        Sentence::DocumentCancelled => "It was cancelled.".into(),
        Sentence::CancelledHint => "Retry it to go on with it.".into(),
        Sentence::EmbeddingSkipped => {
            "Its embedding was skipped: it is found by its words, not by its meaning. Re-index it to change that."
                .into()
        }
        Sentence::GraphByRules { passages, of } if passages >= of => {
            "The language model could not be used: what its passages speak of was found by rules alone. Re-index it to try again."
                .into()
        }
        Sentence::GraphByRules { passages, of } => format!(
            "The language model could not be used for {} of {}: what these speak of was found by rules alone.",
            number(passages),
            count(of, "passage", "passages")
        ),
        Sentence::WaitingToRetry { documents, pages: 0 } => {
            format!("Waiting to retry {}", count(documents, "document", "documents"))
        }
        Sentence::WaitingToRetry { documents: 0, pages } => {
            format!("Waiting to retry {}", count(pages, "page", "pages"))
        }
        Sentence::WaitingToRetry { documents, pages } => format!(
            "Waiting to retry {} and {}",
            count(pages, "page", "pages"),
            count(documents, "document", "documents")
        ),
        Sentence::WaitingToCrawl => "Waiting to start with the site".into(),
        Sentence::Crawling { done, of, until } => {
            let (done, of) = (number(done), count(of, "page", "pages"));
            match until {
                Some(at) => {
                    format!("Reading the site: {done} of {of} so far. It is asked again at {}.", clock(at))
                }
                None => format!("Reading the site: {done} of {of} so far"),
            }
        }
        Sentence::SiteRead { ready, unchanged, failed, cancelled, skipped, removed } => {
            let others =
                |n: u64, what| if n == 0 { String::new() } else { format!(", {} {what}", number(n)) };
            format!(
                "{} ready{}{}{}{}{}",
                count(ready, "page", "pages"),
                others(unchanged, "unchanged"),
                others(removed, "gone from the site"),
                others(failed, "failed"),
                others(cancelled, "cancelled"),
                others(skipped, "skipped"),
            )
        }
        Sentence::PageSkipped(reason) => skipped(reason),
        Sentence::PageFailed(fault) => page_fault(fault),
        Sentence::AllDeleted => "All of its documents were deleted".into(),
        Sentence::DeletingSoon { documents: 0 } => "Deleting in a moment".into(),
        Sentence::DeletingSoon { documents } => {
            format!("Deleting {} in a moment", count(documents, "document", "documents"))
        }
        Sentence::Deleting { done: 0, of: 0 } => "Deleting".into(),
        Sentence::Deleting { done, of } => {
            format!("Deleting {} of {}", number(done), count(of, "document", "documents"))
        }
        Sentence::Deleted { documents: 0 } => "Deleted".into(),
        Sentence::Deleted { documents } => format!("{} deleted", count(documents, "document", "documents")),
        Sentence::DeletionUndone => "The deletion was undone".into(),
        Sentence::WorkspaceDeleted => "Its workspace was deleted".into(),
        Sentence::RetryIn { next, of, seconds, why } => format!("Retry {next} of {of} in {seconds} s. {why}"),
        Sentence::TriedOften { last, before: "", tries } => format!("{last} It was tried {tries} times."),
        Sentence::TriedOften { last, before, tries } => {
            format!("{last} It was tried {tries} times; before: {before}")
        }
        Sentence::GivenBack => "Given back by its worker; it waits for the next one".into(),
        Sentence::WorkerFailed => "The outside worker could not process this document.".into(),
        Sentence::WorkerDone { chunks: 0 } => "Done".into(),
        Sentence::WorkerDone { chunks } => format!("Done: {}", count(chunks, "chunk", "chunks")),
        Sentence::ReindexCancelled => {
            "Its re-indexing was cancelled, and it is found as it was before.".into()
        }
        Sentence::ReplaceCancelled { version, kept } => {
            format!("Version {version} was cancelled, and version {kept} is found as before.")
        }
        Sentence::NotReplaced { version, kept, why, hint } => {
            let hint = hint.map(|hint| format!(" {hint}")).unwrap_or_default();
            format!(
                "Version {version} could not be processed, and version {kept} is found as before. {why}{hint}"
            )
        }
        Sentence::NotIndexedAnew { why, hint } => {
            let hint = hint.map(|hint| format!(" {hint}")).unwrap_or_default();
            format!("It could not be indexed anew, and is found as it was before. {why}{hint}")
        }
    }
}

fn skipped(reason: SkipReason) -> String {
    match reason {
        SkipReason::OutOfScope => "It lies outside of the part of the site that is read.",
        SkipReason::TooDeep => "It is more links away than this crawl follows.",
        SkipReason::MaxPages => "This crawl has as many pages as it may have.",
        SkipReason::MaxBytes => "This crawl has taken in as much as it may.",
        SkipReason::MaxLinks => {
            let most = number(MOST_LINKS as u64);
            return format!(
                "The page that names it has more links than the {most} that are followed of one."
            );
        }
        SkipReason::MaxSitemaps => {
            return format!("It is a site map, and a crawl reads no more than {MOST_SITEMAPS} of them.");
        }
        SkipReason::Robots => "The robots.txt of the site asks crawlers to stay away from it.",
        SkipReason::UnsupportedType => "It is nothing that InsightHub reads.",
        SkipReason::Moved => "It leads on to another address.",
        SkipReason::Empty => "There is nothing in it.",
    }
    .to_owned()
}

fn page_fault(fault: &PageFault) -> String {
    match fault {
        PageFault::Http(status) => match http_word(*status) {
            Some(word) => format!("The site answered {status} ({word})."),
            None => format!("The site answered {status}."),
        },
        PageFault::NotAllowed => {
            "The address is none that this server asks: it belongs to a network that is not public.".into()
        }
        PageFault::NoCertificates => {
            "This server cannot ask sites with https: its system has no certificates of authorities. The operator can mend that."
                .into()
        }
        PageFault::Unreachable => "The site could not be reached.".into(),
        PageFault::TookTooLong => "The site took too long to answer.".into(),
        PageFault::TooLarge => format!("The page is larger than {} MB.", PAGE_BYTES >> 20),
        PageFault::TooManyRedirects => "It leads on to other addresses without an end.".into(),
        PageFault::BadRedirect => "It leads on to an address that is none.".into(),
        PageFault::Broken => "The site's answer was damaged or broke off.".into(),
        PageFault::RobotsUnreachable => {
            "The robots.txt of the site could not be read, so nobody knows what may be asked for.".into()
        }
        PageFault::NotKept => "The server could not keep the page; its disk may be full.".into(),
        PageFault::Internal => "The server made a mistake with this page.".into(),
        PageFault::Busy => "Another job is working on the document of this page.".into(),
    }
}

const fn http_word(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "bad request",
        401 => "sign-in needed",
        403 => "forbidden",
        404 => "not found",
        405 => "method not allowed",
        410 => "gone",
        429 => "too many requests",
        500 => "server error",
        502 => "bad gateway",
        503 => "not available",
        504 => "gateway timed out",
        _ => return None,
    })
}

const fn at_work(phase: PhaseName) -> &'static str {
    match phase {
        PhaseName::Loading => "reading the file",
        PhaseName::Chunking => "splitting the text",
        PhaseName::Embedding => "creating embeddings",
        PhaseName::Indexing => "storing the index",
    }
}

fn percent(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * 100.0).round() as u64
}

/// `reticulating_splines` → "Reticulating splines…"; never blank.
fn readable(name: &str) -> String {
    let words =
        name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
    let mut chars = words.chars();
    match chars.next() {
        Some(first) => format!("{}{}…", first.to_uppercase(), chars.as_str()),
        None => "Working…".into(),
    }
}
