//! The two sample PDFs. Everything in them follows from this file: no clock, no chance, no compression library.

use super::pdf::{Line, document};

const WIDTH: usize = 84;

/// Breaks a paragraph into lines.
fn wrap(out: &mut Vec<Line>, paragraph: &str) {
    let mut line = String::new();
    for word in paragraph.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            out.push(Line::body(std::mem::take(&mut line)));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push(Line::body(line));
    out.push(Line::body(""));
}

fn page(title: &str, paragraphs: &[String]) -> Vec<Line> {
    let mut lines = vec![Line::head(title), Line::body("")];
    for paragraph in paragraphs {
        wrap(&mut lines, paragraph);
    }
    lines
}

pub fn how_it_works() -> Vec<u8> {
    let texts: [(&str, &[&str]); 3] = [
        (
            "What you see is what is stored",
            &[
                "InsightHub keeps one promise above all others: its status never lies. Each badge on the screen stands for \
             a row in a database. When the row changes, every open browser is told within a blink, and when a browser \
             was away, it is told on its return.",
                "Most programs of this kind keep the state of their work in the memory of a server and send news of it as \
             it happens. News that nobody hears is lost. Here a change and the note of the change are written down \
             together, in one transaction, or not at all. The note has a number, and the numbers have no gaps.",
                "A browser that missed three notes therefore knows that it missed exactly three, and asks for them.",
            ],
        ),
        (
            "How a document is read",
            &[
                "A document arrives as a file or as a page of a web site. What it is, is decided by its content and never \
             by its name. Then it is handed to a small process that has no network, cannot open a file, may use little \
             memory and little time, and ends when its work is done.",
                "The text is cut into passages of about a thousand characters. A passage begins and ends between sentences, \
             and it shares its first sentences with the passage before. Each passage remembers its page, so that an \
             answer can point at the place it came from.",
                "Each passage is then turned into a list of numbers by a model that runs on the same machine. Two passages \
             that speak about the same thing have similar numbers, even when they share no word.",
            ],
        ),
        (
            "How work survives a power cut",
            &[
                "Whoever works on a document holds a lease on it and renews it with a heartbeat. When the heartbeat stops, \
             the lease runs out and someone else takes over where the work was last written down. A worker that was \
             only slow, and comes back later, finds that its lease has a newer number and can write nothing.",
                "So a job may be paused, resumed, cancelled or tried again at any moment, and a server may be switched off \
             at any moment, and in the end there is exactly one copy of every passage. A test switches servers off at a \
             thousand random moments to make sure of that.",
            ],
        ),
    ];
    let pages: Vec<_> = texts
        .iter()
        .map(|(title, paragraphs)| {
            page(title, &paragraphs.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
        })
        .collect();
    let bookmarks: Vec<_> =
        texts.iter().enumerate().map(|(i, (title, _))| ((*title).to_owned(), i)).collect();
    document(&pages, Some("How InsightHub works"), &bookmarks)
}

/// A harbour that keeps its papers in InsightHub: each chapter is a keeper of one kind of paper.
const CHAPTERS: [(&str, &str, &str); 10] = [
    ("The lighthouse", "lighthouse", "lamp logs"),
    ("The pilots", "pilot station", "tide tables"),
    ("The dredger", "dredging yard", "depth soundings"),
    ("The customs house", "customs house", "cargo lists"),
    ("The fish market", "fish market", "auction slips"),
    ("The rope walk", "rope walk", "strength tests"),
    ("The lifeboat", "lifeboat shed", "rescue reports"),
    ("The weather mast", "weather mast", "wind records"),
    ("The archive", "town archive", "old charters"),
    ("The school", "school of navigation", "exam papers"),
];

const KEEPERS: [&str; 10] =
    ["Anneke", "Bartolo", "Chandra", "Dagny", "Emeka", "Farida", "Goran", "Hinemoa", "Ilse", "Joaquim"];
const PLACES: [&str; 8] = [
    "north quay",
    "old basin",
    "east mole",
    "timber dock",
    "ferry slip",
    "salt stairs",
    "crane yard",
    "sluice house",
];
const EVENTS: [&str; 6] = [
    "a power cut in the middle of a job",
    "a scan without any text in it",
    "the same file under two names",
    "a network cable that a gull had eaten",
    "a password that nobody remembered",
    "a job that was paused over the holidays",
];
const ENDINGS: [&str; 6] = [
    "the job went on from its last written step, and no passage was stored twice",
    "the row said in one sentence that the pages were pictures, and named text recognition as the way out",
    "the second copy was recognised by its content and skipped, with a note of where the first one stands",
    "the page showed the grey badge of a lost connection, came back by itself and had missed nothing",
    "the file was refused with a plain reason, while the other files of the batch went on",
    "it was resumed a week later with one click and ended as if nothing had been between",
];

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

pub fn handbook() -> Vec<u8> {
    let mut dice = Dice(1867);
    let (mut pages, mut bookmarks) = (Vec::new(), Vec::new());
    for (chapter, (title, office, papers)) in CHAPTERS.iter().enumerate() {
        let keeper = KEEPERS[chapter];
        bookmarks.push((format!("{}. {title}", chapter + 1), pages.len()));
        let heading = format!("{}. {title}", chapter + 1);
        pages.push(page(&heading, &[
            format!(
                "The {office} of our harbour keeps its {papers} in InsightHub since the year the old cabinet was eaten \
                 by woodworm. Its keeper is {keeper}, who had never used a search engine of their own before and now \
                 explains it to visitors. This chapter tells how the {office} is set up, what goes in, what was asked, \
                 and what went wrong."
            ),
            format!(
                "There is one workspace, and it is called {} papers. The chunk size is {} characters and the overlap {} \
                 characters, because the {papers} are written in {} sentences. The retriever is {}, and each question \
                 is answered from the best {} passages.",
                title.trim_start_matches("The "),
                800 + 100 * dice.below(6),
                100 + 50 * dice.below(4),
                ["short", "long", "crooked", "careful"][dice.below(4)],
                ["vector", "keyword", "hybrid"][dice.below(3)],
                5 + dice.below(8)
            ),
            format!(
                "A shift at the {office} lasts {} hours and begins at the {}. Whoever begins a shift looks at the \
                 activity tray first: a job that still runs is left alone, a job that was paused is resumed, and a row \
                 that failed is read aloud, since every reason is one sentence long.",
                4 + dice.below(6),
                PLACES[dice.below(PLACES.len())]
            ),
        ]));
        for part in 1..=3 {
            let mut paragraphs = Vec::new();
            for _ in 0..4 {
                let event = dice.below(EVENTS.len());
                let (files, minutes) = (12 + dice.below(300), 2 + dice.below(50));
                paragraphs.push(format!(
                    "On day {} of the year {}, {keeper} uploaded {files} files of {papers} from the {}. The job took \
                     {minutes} minutes and made {} passages. In the middle of it there was {}; {}. Afterwards the \
                     question was asked how many {papers} speak of the {}, and the answer named {} passages with their \
                     pages.",
                    1 + dice.below(365),
                    1990 + dice.below(36),
                    PLACES[dice.below(PLACES.len())],
                    files * (7 + dice.below(9)),
                    EVENTS[event],
                    ENDINGS[event],
                    PLACES[dice.below(PLACES.len())],
                    2 + dice.below(7)
                ));
            }
            paragraphs.push(format!(
                "The lesson that {keeper} wrote on the wall of the {office}: {}.",
                [
                    "believe the row, for the row is the truth",
                    "a pause is not an end, and a retry is not a beginning",
                    "a refused file with a reason is better than an accepted one without",
                    "what was finished stays finished",
                    "ask the archive before you ask the keeper",
                ][dice.below(5)]
            ));
            pages.push(page(&format!("{}.{part} From the day book", chapter + 1), &paragraphs));
        }
    }
    document(&pages, Some("The InsightHub handbook"), &bookmarks)
}
