//! The readers of documents, the chunkers, and the parser of what the reading process says.

use crate::{May, Target, document, office as written};
use domain::rag::ChunkingStrategy;
use ingest::{
    chunk::{ChunkSettings, Stop, TokenCounter, chunk_with},
    extract::{ExtractCode, ExtractedText, csv, detect, html, json, office, pdf, text, wire},
};

/// Text that a reader may make of a file.
const MOST: usize = 4 * 1024 * 1024;

pub static TARGETS: [Target; 11] = [
    Target {
        name: "pdf",
        samples: || vec![document("handbook.pdf"), document("how-it-works.pdf")],
        words: &[
            "obj",
            "endobj",
            "stream",
            "endstream",
            "/Length",
            "/Filter/FlateDecode",
            "<<",
            ">>",
            "[",
            "]",
            "xref",
            "9999999999",
            "-1",
            "BT",
            "Tj",
            "/Kids",
        ],
        run: |bytes| sound(pdf::read(bytes, MOST, &mut |_, _| {})),
        may: May::Break,
    },
    Target {
        name: "docx",
        samples: bodies,
        words: &[
            "<w:p>",
            "</w:p>",
            "<w:tbl>",
            "<w:tr>",
            "<w:tc>",
            "</w:tbl>",
            "<w:t>",
            "&#0;",
            "&amp;",
            "<!--",
            "]]>",
            "w:val=\"9\"",
            "<w:numPr>",
        ],
        // The archive is whole, and what is in it is not: else nearly every case would end at its checksum.
        run: |body| {
            let body = String::from_utf8_lossy(body);
            sound(office::docx::read(&written::docx_of(written::Body::Text(&body), &[]), MOST))
        },
        may: May::Nothing,
    },
    Target {
        name: "xlsx",
        samples: || {
            vec![written::sheet(&[&["name", "price"], &["Lamp", "12.5"], &["Boot", "3"]]).into_bytes()]
        },
        words: &[
            "<c r=\"A1\"",
            "<v>",
            "</v>",
            "<row r=\"9\">",
            "t=\"s\"",
            "t=\"inlineStr\"",
            "1e999",
            "ZZZ99999",
            "-1",
        ],
        run: |sheet| {
            let sheet = String::from_utf8_lossy(sheet);
            sound(office::xlsx::read(
                &written::xlsx_of(vec![("One", written::Body::Text(&sheet))], None, ""),
                MOST,
            ))
        },
        may: May::Break,
    },
    Target {
        name: "archive",
        samples: || {
            vec![written::docx(&written::p("", "A lantern.")), written::xlsx(&[("One", &[&["a", "1"]])])]
        },
        words: &[
            "PK\u{3}\u{4}",
            "PK\u{1}\u{2}",
            "PK\u{5}\u{6}",
            "word/document.xml",
            "../",
            "xl/workbook.xml",
        ],
        run: |bytes| {
            let docx = sound(office::docx::read(bytes, MOST))?;
            Ok(sound(office::xlsx::read(bytes, MOST))? || docx)
        },
        may: May::Break,
    },
    Target {
        name: "csv",
        samples: || {
            vec![b"name,price\nLamp,12.5\n\"Boot; \"\"left\"\"\",3\n".to_vec(), b"a\tb\n1\t2\n".to_vec()]
        },
        words: &["\"", "\"\"", ",", ";", "\t", "\r\n", "sep=;", "\u{feff}"],
        run: |bytes| sound(csv::read(bytes, MOST)),
        may: May::Nothing,
    },
    Target {
        name: "json",
        samples: || {
            vec![
                br#"{"items":[{"name":"Lamp","price":12.5},{"name":"Boot"}],"more":{"a":[1,null,true]}}"#
                    .to_vec(),
                b"{\"a\": 1}\n{\"a\": \"2\n{\"a\": [3, NaN]}\n".to_vec(),
            ]
        },
        words: &[
            "{",
            "}",
            "[",
            "]",
            "\"",
            "\\u0000",
            "\\ud800",
            "1e999",
            "-Infinity",
            "NaN",
            "null",
            ":",
            "\n",
            "[[[[[[[[",
        ],
        run: |bytes| sound(json::read(bytes, MOST)),
        may: May::Nothing,
    },
    Target {
        name: "html",
        samples: || vec![document("questions.html")],
        words: &[
            "<div>",
            "</div>",
            "<table>",
            "<td>",
            "<script>",
            "</script>",
            "<pre>",
            "<!--",
            "-->",
            "&#x0;",
            "<meta name=generator content=\"x\">",
            "<h1>",
            "<a href='",
        ],
        run: |bytes| sound(html::read(bytes)),
        may: May::Nothing,
    },
    Target {
        name: "markdown",
        samples: || {
            vec![document("first-steps.md"), b"---\ntitle: A day\n---\n# Morning\n\n- one\n".to_vec()]
        },
        words: &["---\n", "title:", "# ", "```", "\n\n", "> ", "- ", "1. ", "| a |", "\u{feff}", "***"],
        run: |bytes| sound(text::read_markdown(bytes)),
        may: May::Nothing,
    },
    Target {
        name: "text",
        samples: || {
            vec![
                document("glossary.txt"),
                "zwölf\u{2028}Boxkämpfer".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            ]
        },
        words: &["\0", "\u{feff}", "\r\n", "\u{2029}", "\u{200b}", "e\u{301}", "%PDF-"],
        run: |bytes| {
            // Whatever it is called, its kind is told, or refused with a sentence.
            for name in ["a.txt", "a.csv", "a", "a.pdf", "a.md"] {
                if let Err(refused) = detect(bytes, name)
                    && refused.sentence.is_empty()
                {
                    return Err("a refusal without a sentence".to_owned());
                }
            }
            sound(text::read_text(bytes))
        },
        may: May::Nothing,
    },
    Target {
        name: "chunks",
        samples: || {
            vec![
                document("glossary.txt"),
                document("first-steps.md"),
                "Zwölf. Ende! \u{1f469}\u{200d}\u{1f680} ".repeat(40).into_bytes(),
            ]
        },
        words: &[
            ". ",
            "\n\n",
            "# ",
            "e\u{301}",
            "\u{1f469}\u{200d}\u{1f680}",
            "\t",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "- ",
        ],
        run: cut,
        may: May::Nothing,
    },
    Target {
        name: "wire",
        samples: said,
        words: &[
            "{",
            "}",
            "\n",
            "\"result\"",
            "\"progress\"",
            "\"failed\"",
            "4294967296",
            "-1",
            "null",
            "\"text_bytes\":9",
        ],
        run: heard,
        may: May::Nothing,
    },
];

fn bodies() -> Vec<Vec<u8>> {
    let rows = "<w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>1</w:t></w:r></w:p></w:tc></w:tr>";
    let table = format!("<w:tbl>{}</w:tbl>", rows.repeat(3));
    let text =
        written::p("<w:pStyle w:val=\"Heading1\"/>", "A heading") + &written::p("", "A lantern.") + &table;
    vec![format!("{}{text}{}", written::DOCUMENT, written::DOCUMENT_END).into_bytes()]
}

/// What the parent of the reading process would take.
fn sound(read: Result<ExtractedText, ExtractCode>) -> Result<bool, String> {
    let Ok(read) = read else { return Ok(false) };
    if read.text.len() > MOST + 1024 {
        return Err(format!("a text of {} bytes", read.text.len()));
    }
    let bytes = read.text.clone().into_bytes();
    let ExtractedText { spans, title, warnings, made_with, table, .. } = read;
    let header = wire::Header { text_bytes: bytes.len() as u64, spans, title, warnings, made_with, table };
    match wire::receive(header, bytes) {
        Ok(_) => Ok(true),
        // Readers may leave a zero in a text; the reading process takes it out before it answers.
        Err(why) if why.contains("zero byte") => Ok(true),
        Err(why) => Err(why),
    }
}

/// Words as tokens.
struct Words;

impl TokenCounter for Words {
    fn count(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn offsets(&self, text: &str) -> Vec<(usize, usize)> {
        let begin = text.as_ptr() as usize;
        let place =
            |word: &str| (word.as_ptr() as usize - begin, word.as_ptr() as usize - begin + word.len());
        text.split_whitespace().map(place).collect()
    }
}

/// By every strategy: no passage over the size, each exactly where it says, and nothing but white space left out.
fn cut(bytes: &[u8]) -> Result<bool, String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let doc = ExtractedText { text, ..ExtractedText::default() };
    let characters: Vec<char> = doc.text.chars().collect();
    let vectors = |texts: &[&str]| Ok(texts.iter().map(|t| vec![t.len() as f32 % 5.0, 1.0]).collect());
    for strategy in ChunkingStrategy::ALL {
        for (size, overlap) in [(40, 10), (7, 0)] {
            let settings = ChunkSettings { strategy: *strategy, size, overlap };
            let Ok(chunks) = chunk_with(&doc, &settings, &Words, Some(&vectors), &Stop::default()) else {
                continue;
            };
            let mut covered = vec![false; characters.len()];
            for chunk in &chunks {
                let place = chunk.char_start as usize..chunk.char_end as usize;
                if characters
                    .get(place.clone())
                    .is_none_or(|there| !there.iter().copied().eq(chunk.text.chars()))
                {
                    return Err(format!("{settings:?}: a passage that is not where it says"));
                }
                let long = match strategy {
                    ChunkingStrategy::Token => Words.count(&chunk.text),
                    _ => chunk.text.chars().count(),
                };
                if long > size as usize {
                    return Err(format!("{settings:?}: a passage of {long}"));
                }
                covered[place].fill(true);
            }
            if characters.iter().zip(&covered).any(|(c, covered)| !covered && !c.is_whitespace()) {
                return Err(format!("{settings:?}: something is in no passage"));
            }
        }
    }
    Ok(true)
}

/// What a reading process says when all is well.
fn said() -> Vec<Vec<u8>> {
    let text = ExtractedText {
        text: "zwölf Boxkämpfer".to_owned(),
        title: Some("T".to_owned()),
        ..ExtractedText::default()
    };
    let mut out = vec![];
    let progress = wire::Frame::Progress(ingest::extract::Progress { done: 1, total: 2 });
    // Writing to memory does not fail.
    let _ = wire::send(&mut out, &progress);
    let _ = wire::send_result(&mut out, text);
    vec![out]
}

/// Lines of frames, and behind a result its text, as the parent takes them.
fn heard(bytes: &[u8]) -> Result<bool, String> {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|b| *b == b'\n') {
        let (line, after) = (&rest[..at], &rest[at + 1..]);
        rest = after;
        match serde_json::from_slice(line) {
            Ok(wire::Frame::Result(header)) => {
                let Ok(read) = wire::receive(header, rest.to_vec()) else { return Ok(false) };
                let sound = read.spans.iter().all(|s| read.text.get(s.start..s.end).is_some());
                return if sound { Ok(true) } else { Err("a span that is not of its text".to_owned()) };
            }
            Ok(_) => {}
            Err(_) => return Ok(false),
        }
    }
    Ok(false)
}
