//! The catalogue, sentence by sentence.

use super::*;

fn english(step: &Step, facts: &Facts) -> String {
    friendly(Language::English, step, facts)
}

/// Everything that can be known of a file.
fn all() -> Facts {
    Facts {
        pages: Some(1_200),
        chunks: Some(1_500),
        done: Some(310),
        read: Some(1_020),
        columns: Some(12),
        rows: Some(1_198),
        new_rows: Some(42),
        existing_rows: Some(1_156),
        similarity: Some(0.87),
        similar_name: Some("expenses-2024.csv".into()),
        new_chunks: Some(42),
        shared_chunks: Some(156),
        kind: Some("an invoice".into()),
        origin: Some("Microsoft Excel".into()),
        reason: Some("The disk is full".into()),
        ..Facts::file("expenses.csv")
    }
}

/// Each step with what it says of a file about which nothing is known, and of one about which all is.
const CATALOGUE: [(&str, &str, &str); 31] = [
    // Uploads.
    ("validating", "Checking this file…", "Checking expenses.csv…"),
    ("extracting_text", "Reading the text of your file…", "Reading 1,200 pages…"),
    ("chunking_text", "Splitting the text into chunks…", "Split the text into 1,500 chunks"),
    ("creating_embeddings", "Creating embeddings…", "Creating embeddings: 310 of 1,500 chunks…"),
    ("storing_metadata", "Storing the index…", "Storing the index…"),
    ("finished", "Done", "Done: 1,500 chunks ready to search"),
    // Crawls.
    ("initializing", "Getting ready…", "Getting ready…"),
    ("crawling", "Reading the site…", "Reading the site: 1,200 pages so far…"),
    ("processing_content", "Splitting the text into chunks…", "Split the text into 1,500 chunks"),
    // Chats.
    (
        "retrieving_context",
        "Looking for passages that answer your question…",
        "Looking for passages that answer your question…",
    ),
    ("selecting_model", "Choosing a model…", "Choosing a model…"),
    ("generating_response", "Writing the answer…", "Writing the answer…"),
    ("storing_response", "Saving the answer…", "Saving the answer…"),
    // The eighteen friendly keys.
    ("initializing_streaming", "Getting ready to read your file…", "Getting ready to read expenses.csv…"),
    (
        "duplicate_check",
        "Checking if I've seen this file before…",
        "Checking if I've seen expenses.csv before…",
    ),
    ("field_detection", "Analyzing the structure of your data…", "Found 12 columns in your data"),
    ("platform_detection", "Figuring out where this data came from…", "This comes from Microsoft Excel"),
    ("document_classification", "Understanding what type of document this is…", "This looks like an invoice"),
    (
        "starting_transaction",
        "Setting up secure storage for your data…",
        "Setting up secure storage for your data…",
    ),
    ("storing", "Saving the details of your file…", "Saving the details of expenses.csv…"),
    ("extracting", "Reading through your data…", "Reading through 1,198 rows…"),
    ("processing_decision", "Processing your request…", "Processing your request…"),
    (
        "duplicate_found",
        "Found an exact match: I've processed this before",
        "Found an exact match: expenses-2024.csv has the same content",
    ),
    (
        "near_duplicate_found",
        "Found a similar file: let me compare them",
        "Found an 87 % match with expenses-2024.csv: 42 new parts, 156 known",
    ),
    (
        "content_duplicate_found",
        "This data overlaps with something I already have",
        "This data overlaps with something I already have",
    ),
    (
        "delta_analysis_complete",
        "Spotted the differences in your data",
        "Spotted the differences: 42 new rows, 1,156 I already know",
    ),
    ("entity_resolution", "Matching entities across your data…", "Matching entities across your data…"),
    ("classification", "Categorizing what I found…", "Categorizing what I found…"),
    ("enrichment", "Adding context to your data…", "Adding context to your data: 1,020 of 1,500 chunks…"),
    ("complete", "Done! I've processed your file successfully", "Done! expenses.csv is ready"),
    ("error", "Something went wrong with this file", "The disk is full"),
];

#[test]
fn every_known_step_says_this_without_facts_and_that_with_all_of_them() {
    let known: Vec<&str> = Step::KNOWN.iter().map(Step::as_str).collect();
    assert_eq!(CATALOGUE.map(|(step, ..)| step).as_slice(), known, "each step stands here once");
    for (step, plain, rich) in CATALOGUE {
        let step = Step::from(step);
        assert_eq!(english(&step, &Facts::default()), plain, "{step}");
        assert_eq!(english(&step, &all()), rich, "{step}");
    }
}

#[test]
fn what_goes_along_with_a_sentence_is_enough_to_word_it_anew() {
    let facts = all();
    let read = Facts::of_extra("expenses.csv", &Value::Object(facts.extra()));
    assert_eq!(read, facts);
    for step in Step::KNOWN {
        assert_eq!(english(step, &read), english(step, &facts), "{step}");
    }
    assert!(Facts::file("a.txt").extra().is_empty(), "the name of the file is sent anyway");
    assert_eq!(Facts::of_extra("a.txt", &Value::Null), Facts::file("a.txt"));
}

#[test]
fn a_kind_that_is_long_or_no_plain_text_is_not_repeated() {
    for kind in ["k".repeat(61), "an\ninvoice".into()] {
        assert_eq!(Facts::told(&serde_json::json!({ "kind": kind })).kind, None, "{kind:?}");
    }
}

#[test]
fn what_is_said_of_a_job_and_of_what_became_of_a_document() {
    use PhaseName::*;
    let at_work = |phase| Sentence::AtWork { phase, done: 5, of: 1_200 };
    let hint = Some("Ask the operator.");
    for (sentence, text) in [
        (Sentence::Waiting { documents: 1 }, "Waiting to start with 1 document"),
        (Sentence::Waiting { documents: 1_200 }, "Waiting to start with 1,200 documents"),
        (at_work(Loading), "Reading: 5 of 1,200 documents"),
        (at_work(Chunking), "Splitting: 5 of 1,200 documents"),
        (at_work(Embedding), "Creating embeddings: 5 of 1,200 chunks"),
        (at_work(Indexing), "Indexing: 5 of 1,200 chunks"),
        (Sentence::AllReady { documents: 1 }, "1 document ready"),
        (Sentence::AllReady { documents: 3 }, "3 documents ready"),
        (
            Sentence::SomeReady { ready: 2, of: 3, failed: 1, cancelled: 0 },
            "2 of 3 documents ready, 1 failed",
        ),
        (
            Sentence::SomeReady { ready: 2, of: 5, failed: 1, cancelled: 2 },
            "2 of 5 documents ready, 1 failed, 2 cancelled",
        ),
        (Sentence::Paused { begun: Some(62) }, "Paused at 62 %"),
        (Sentence::Paused { begun: None }, "Paused before it started"),
        (
            Sentence::GraphByRules { passages: 3, of: 3 },
            "The language model could not be used: what its passages speak of was found by rules alone. Re-index it to \
             try again.",
        ),
        (
            Sentence::GraphByRules { passages: 2, of: 1_200 },
            "The language model could not be used for 2 of 1,200 passages: what these speak of was found by rules \
             alone.",
        ),
        (Sentence::WaitingToRetry { documents: 1, pages: 0 }, "Waiting to retry 1 document"),
        (Sentence::WaitingToRetry { documents: 0, pages: 2 }, "Waiting to retry 2 pages"),
        (Sentence::WaitingToRetry { documents: 2, pages: 1 }, "Waiting to retry 1 page and 2 documents"),
        (
            Sentence::Crawling { done: 3, of: 12_000, until: None },
            "Reading the site: 3 of 12,000 pages so far",
        ),
        (
            Sentence::Crawling { done: 0, of: 1, until: Some(Timestamp::from_micros(3_723_000_000)) },
            "Reading the site: 0 of 1 page so far. It is asked again at 01:02:03 UTC.",
        ),
        (
            Sentence::SiteRead { ready: 1, unchanged: 2, failed: 3, cancelled: 0, skipped: 4, removed: 0 },
            "1 page ready, 2 unchanged, 3 failed, 4 skipped",
        ),
        (
            Sentence::PageSkipped(SkipReason::MaxLinks),
            "The page that names it has more links than the 2,000 that are followed of one.",
        ),
        (
            Sentence::PageSkipped(SkipReason::MaxSitemaps),
            "It is a site map, and a crawl reads no more than 20 of them.",
        ),
        (
            Sentence::RetryIn { next: 2, of: 3, seconds: 8, why: "The model is away." },
            "Retry 2 of 3 in 8 s. The model is away.",
        ),
        (Sentence::TriedOften { last: "Away.", before: "", tries: 3 }, "Away. It was tried 3 times."),
        (
            Sentence::TriedOften { last: "Away.", before: "Busy. Busy.", tries: 3 },
            "Away. It was tried 3 times; before: Busy. Busy.",
        ),
        (Sentence::Cancelled { ready: 0, of: 3 }, "Cancelled"),
        (Sentence::Cancelled { ready: 2, of: 3 }, "Cancelled; 2 of 3 documents ready"),
        (Sentence::ReindexCancelled, "Its re-indexing was cancelled, and it is found as it was before."),
        (Sentence::NoneReady { of: 1 }, "The document could not be processed"),
        (Sentence::NoneReady { of: 3 }, "None of 3 documents could be processed"),
        (
            Sentence::StalledOnce { seconds: 300, phase: Embedding, next: 2, of: 3 },
            "There was no progress for 5 minutes while creating embeddings. Trying again (2 of 3).",
        ),
        (
            Sentence::StalledForGood { seconds: 5, phase: Loading, tries: 3 },
            "There was no progress for 5 seconds while reading the file, 3 times in a row.",
        ),
        (Sentence::StalledHint, "Try again later; if it happens once more, ask the operator."),
        (
            Sentence::Unheard { since: Timestamp::from_micros(3_723_000_000) },
            "Nothing was heard of it from the outside worker since 1970-01-01, 01:02:03 UTC. It goes on with the next report.",
        ),
        (
            Sentence::Interrupted,
            "The work was interrupted, and nobody is at it just now. It goes on by itself, from where it \
             stopped, as soon as a worker is free.",
        ),
        (
            Sentence::ModelAway { since: Timestamp::from_micros(3_723_000_000), busy: false, next_try: None },
            "The embedding server is unreachable since 01:02:03 UTC. The document waits, and goes on by itself.",
        ),
        (
            Sentence::ModelAway {
                since: Timestamp::from_micros(0),
                busy: true,
                next_try: Some(Timestamp::from_micros(8_000_000)),
            },
            "The embedding server has too much to do since 00:00:00 UTC. It is asked again at 00:00:08 UTC.",
        ),
        (Sentence::GivenBack, "Given back by its worker; it waits for the next one"),
        (Sentence::WorkerFailed, "The outside worker could not process this document."),
        (Sentence::WorkerDone { chunks: 0 }, "Done"),
        (Sentence::WorkerDone { chunks: 1 }, "Done: 1 chunk"),
        (
            Sentence::NotIndexedAnew { why: "The file is gone.", hint },
            "It could not be indexed anew, and is found as it was before. The file is gone. Ask the operator.",
        ),
        (
            Sentence::NotIndexedAnew { why: "The file is gone.", hint: None },
            "It could not be indexed anew, and is found as it was before. The file is gone.",
        ),
    ] {
        assert_eq!(say(Language::English, &sentence), text);
    }
}

#[test]
fn no_step_is_ever_blank() {
    for step in Step::KNOWN {
        assert!(!english(step, &Facts::default()).trim().is_empty(), "{step}");
        assert!(!english(step, &Facts::file("expenses.csv")).trim().is_empty(), "{step}");
    }
    assert_eq!(english(&Step::Other("__".into()), &Facts::default()), "Working…");
}

#[test]
fn facts_make_the_sentence_richer() {
    assert_eq!(
        english(&Step::DuplicateCheck, &Facts::file("expenses.csv")),
        "Checking if I've seen expenses.csv before…"
    );
    let delta = Facts { new_rows: Some(42), existing_rows: Some(1_156), ..Facts::default() };
    assert_eq!(
        english(&Step::DeltaAnalysisComplete, &delta),
        "Spotted the differences: 42 new rows, 1,156 I already know"
    );
    let near = Facts { similarity: Some(0.87), ..Facts::default() };
    assert_eq!(
        english(&Step::NearDuplicateFound, &near),
        "Found an 87 % match with something I processed earlier"
    );
}

#[test]
fn one_is_singular() {
    let one = Facts { chunks: Some(1), ..Facts::default() };
    assert_eq!(english(&Step::Finished, &one), "Done: 1 chunk ready to search");
}

#[test]
fn a_foreign_step_reads_well() {
    assert_eq!(english(&Step::from("reticulating_splines"), &Facts::default()), "Reticulating splines…");
}

#[test]
fn a_sentence_of_a_model_takes_the_place_of_the_rule_for_foreign_steps_alone() {
    let facts = Facts { sentence: Some("Untangling {file}…".into()), ..Facts::file("net.pdf") };
    assert_eq!(english(&Step::from("reticulating_splines"), &facts), "Untangling net.pdf…");
    let nameless = Facts { filename: None, ..facts.clone() };
    assert_eq!(english(&Step::from("reticulating_splines"), &nameless), "Untangling this file…");
    assert_eq!(english(&Step::Validating, &facts), "Checking net.pdf…");
}

#[test]
fn a_time_to_wait_is_rounded_up_to_a_plain_unit() {
    assert_eq!(
        [1, 60, 91, 3_000, 5_401, 86_400].map(duration),
        ["1 second", "60 seconds", "2 minutes", "50 minutes", "2 hours", "24 hours"].map(String::from)
    );
}

#[test]
fn numbers_have_separators() {
    assert_eq!(
        [0, 12, 999, 1_000, 1_234_567].map(number),
        ["0", "12", "999", "1,000", "1,234,567"].map(String::from)
    );
}
