//! What kind of document a text is, by the words that such documents have, and where a file comes from, by the program
//! that its own properties name. Nothing is guessed: where too little speaks for a kind, none is told.

/// So much of a text is looked at, in bytes: what a document is shows at its beginning.
const HEAD: usize = 24 * 1024;
/// So many of a kind's marks have to be there.
const ENOUGH: usize = 3;

/// A kind, as the sentence "This looks like …" takes it, and its marks in lower case.
const KINDS: [(&str, &[&str]); 11] = [
    (
        "an invoice",
        &[
            "invoice",
            "amount due",
            "bill to",
            "total due",
            "payment terms",
            "vat",
            "subtotal",
            "due date",
            "invoice number",
        ],
    ),
    (
        "a contract",
        &[
            "this agreement",
            "hereinafter",
            "the parties",
            "party of the",
            "governing law",
            "termination",
            "indemnif",
            "in witness whereof",
            "shall be liable",
            "effective date",
        ],
    ),
    (
        "a licence",
        &[
            "license",
            "licence",
            "redistribut",
            "warranty",
            "copyright",
            "permission is hereby granted",
            "derivative work",
            "sublicense",
        ],
    ),
    (
        "minutes of a meeting",
        &[
            "minutes",
            "attendees",
            "agenda",
            "action items",
            "present:",
            "apologies",
            "next meeting",
            "motion",
            "adjourned",
        ],
    ),
    (
        "a résumé",
        &[
            "curriculum vitae",
            "work experience",
            "professional experience",
            "education",
            "skills",
            "languages",
            "references available",
            "résumé",
        ],
    ),
    (
        "a research paper",
        &[
            "abstract",
            "introduction",
            "related work",
            "references",
            "et al",
            "doi",
            "methodology",
            "conclusion",
            "we propose",
        ],
    ),
    (
        "a report",
        &[
            "executive summary",
            "findings",
            "recommendations",
            "appendix",
            "quarter",
            "fiscal year",
            "year-on-year",
            "overview",
        ],
    ),
    (
        "a manual",
        &[
            "installation",
            "troubleshooting",
            "user guide",
            "usage",
            "command line",
            "options",
            "configuration",
            "how to",
            "reference manual",
            "step 1",
            "press the",
            "tutorial",
        ],
    ),
    (
        "a letter",
        &[
            "dear ",
            "yours sincerely",
            "yours faithfully",
            "kind regards",
            "best regards",
            "i am writing to",
            "to whom it may concern",
        ],
    ),
    ("a recipe", &["ingredients", "preheat", "tablespoon", "teaspoon", "serves", "oven", "simmer", "whisk"]),
    (
        "a specification",
        &[
            "must not",
            "shall",
            "requirements",
            "conformance",
            "normative",
            "interface",
            "protocol",
            "specification",
        ],
    ),
];

/// The kind that most of its marks speak for; `None` when too few do, or two kinds are as likely.
pub fn kind_of(text: &str) -> Option<&'static str> {
    let head = text[..text.floor_char_boundary(HEAD)].to_lowercase();
    let score = |marks: &[&str]| marks.iter().filter(|mark| has(&head, mark)).count();
    let mut scores: Vec<(usize, &'static str)> =
        KINDS.iter().map(|(kind, marks)| (score(marks), *kind)).collect();
    scores.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    match scores[..] {
        [(first, kind), (second, _), ..] if first >= ENOUGH && first > second => Some(kind),
        _ => None,
    }
}

/// Whether the text has the mark at the beginning of a word.
fn has(text: &str, mark: &str) -> bool {
    text.match_indices(mark)
        .any(|(at, _)| text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric()))
}

/// What stands in the name of a program, and what people call it; the first that fits.
const PROGRAMS: [(&str, &str); 28] = [
    ("google docs", "Google Docs"),
    ("google sheets", "Google Sheets"),
    ("microsoft word", "Microsoft Word"),
    ("microsoft office word", "Microsoft Word"),
    ("microsoft excel", "Microsoft Excel"),
    ("powerpoint", "Microsoft PowerPoint"),
    ("microsoft", "Microsoft Office"),
    ("libreoffice", "LibreOffice"),
    ("openoffice", "OpenOffice"),
    ("wps", "WPS Office"),
    ("writer", "LibreOffice Writer"),
    ("indesign", "Adobe InDesign"),
    ("acrobat", "Adobe Acrobat"),
    ("pages", "Apple Pages"),
    ("numbers", "Apple Numbers"),
    ("quartz", "macOS"),
    ("latex", "LaTeX"),
    ("tex", "TeX"),
    ("confluence", "Confluence"),
    ("notion", "Notion"),
    ("wordpress", "WordPress"),
    ("mediawiki", "MediaWiki"),
    ("drupal", "Drupal"),
    ("joomla", "Joomla"),
    ("hugo", "Hugo"),
    ("jekyll", "Jekyll"),
    ("docutils", "Docutils"),
    ("chrom", "a web browser"),
];

/// Where a file comes from; `None` when its program is none of the known ones.
pub fn origin_of(made_with: &str) -> Option<&'static str> {
    let program = made_with.to_lowercase();
    PROGRAMS.iter().find(|(mark, _)| is_named(&program, mark)).map(|(_, name)| *name)
}

/// Whether the mark stands in the name. Short ones are parts of the names of others, such as iText, PDFWriter and TextEdit.
fn is_named(program: &str, mark: &str) -> bool {
    let mut words = program.split(|c: char| !c.is_alphanumeric());
    match mark {
        "tex" | "latex" => words.any(|word| word.ends_with(mark)),
        "wps" | "writer" | "pages" | "numbers" => words.any(|word| word == mark),
        _ => program.contains(mark),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_told_by_its_words() {
        let invoice = "INVOICE number 7\nBill to: Ada\nSubtotal 10\nVAT 2\nAmount due 12, due date 1 May";
        assert_eq!(kind_of(invoice), Some("an invoice"));
        let minutes =
            "Minutes of the board\nAttendees: Ada, Grace\nAgenda\nAction items: none\nNext meeting: May";
        assert_eq!(kind_of(minutes), Some("minutes of a meeting"));
        let recipe = "Ingredients: a teaspoon of salt. Preheat the oven. Serves four.";
        assert_eq!(kind_of(recipe), Some("a recipe"));
    }

    #[test]
    fn where_too_little_speaks_for_a_kind_none_is_told() {
        assert_eq!(kind_of(""), None);
        assert_eq!(kind_of("A lantern on the bridge."), None);
        assert_eq!(kind_of("We sent an invoice."), None);
        // As much of one as of the other.
        assert_eq!(kind_of("ingredients, oven, whisk; attendees, agenda, adjourned"), None);
        // Within another word it is none.
        assert_eq!(kind_of("cooven forovens unwhisked misingredients"), None);
    }

    #[test]
    fn only_the_beginning_of_a_long_text_counts() {
        let long = format!("{}ä ingredients, preheat, oven, whisk", "ä".repeat(HEAD));
        assert_eq!(kind_of(&long), None);
    }

    #[test]
    fn a_file_comes_from_where_its_program_says() {
        for (program, origin) in [
            ("Microsoft® Word for Microsoft 365", Some("Microsoft Office")),
            ("Microsoft Office Word", Some("Microsoft Word")),
            ("Microsoft Excel", Some("Microsoft Excel")),
            ("LibreOffice/7.4.7.2$Linux_X86_64", Some("LibreOffice")),
            ("Writer", Some("LibreOffice Writer")),
            ("LaTeX with hyperref", Some("LaTeX")),
            ("pdfTeX-1.40.24", Some("TeX")),
            ("XeTeX 0.999995", Some("TeX")),
            ("iText 2.1.7 by 1T3XT", None),
            ("TextEdit", None),
            ("OpenText Output Server", None),
            ("Acrobat PDFWriter 3.02 for Windows", Some("Adobe Acrobat")),
            ("WPS Writer", Some("WPS Office")),
            ("Homepages Export", None),
            ("WordPress 6.4.2", Some("WordPress")),
            ("Mozilla/5.0 (X11) Chrome/120", Some("a web browser")),
            ("somebody's own script", None),
        ] {
            assert_eq!(origin_of(program), origin, "{program}");
        }
    }
}
