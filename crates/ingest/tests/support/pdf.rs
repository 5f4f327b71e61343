//! Writes small PDFs: enough of the format for tests, and nothing that depends on a machine or a moment.

#![allow(dead_code, reason = "each test program uses its own part of it")]

/// A PDF under construction: objects by number, from 1.
#[derive(Default)]
pub struct Pdf {
    objects: Vec<Vec<u8>>,
}

impl Pdf {
    /// Adds an object and returns its number.
    pub fn add(&mut self, body: impl Into<Vec<u8>>) -> usize {
        self.objects.push(body.into());
        self.objects.len()
    }

    /// Keeps a number for an object that is [`set`](Self::set) later.
    pub fn reserve(&mut self) -> usize {
        self.add("null")
    }

    pub fn set(&mut self, number: usize, body: impl Into<Vec<u8>>) {
        self.objects[number - 1] = body.into();
    }

    /// Adds a stream; `entries` go into its dictionary beside the length.
    pub fn stream(&mut self, entries: &str, data: &[u8]) -> usize {
        let mut body = format!("<< /Length {} {entries} >>\nstream\n", data.len()).into_bytes();
        body.extend_from_slice(data);
        body.extend_from_slice(b"\nendstream");
        self.add(body)
    }

    /// The file, with its table of objects. `trailer` holds at least `/Root n 0 R`.
    pub fn finish(self, trailer: &str) -> Vec<u8> {
        let mut out = b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n".to_vec();
        let mut places = Vec::new();
        for (i, object) in self.objects.iter().enumerate() {
            places.push(out.len());
            out.extend_from_slice(format!("{} 0 obj\n", i + 1).as_bytes());
            out.extend_from_slice(object);
            out.extend_from_slice(b"\nendobj\n");
        }
        let table = out.len();
        out.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", places.len() + 1).as_bytes());
        for place in &places {
            out.extend_from_slice(format!("{place:010} 00000 n \n").as_bytes());
        }
        let size = places.len() + 1;
        out.extend_from_slice(
            format!("trailer\n<< /Size {size} {trailer} >>\nstartxref\n{table}\n%%EOF\n").as_bytes(),
        );
        out
    }
}

/// A line of text on a page.
pub struct Line {
    pub size: u32,
    pub text: String,
}

impl Line {
    pub fn body(text: impl Into<String>) -> Self {
        Self { size: 11, text: text.into() }
    }

    pub fn head(text: impl Into<String>) -> Self {
        Self { size: 18, text: text.into() }
    }
}

/// A whole document: lines page by page, a title, and bookmarks as (title, page from 0).
pub fn document(pages: &[Vec<Line>], title: Option<&str>, bookmarks: &[(String, usize)]) -> Vec<u8> {
    let mut pdf = Pdf::default();
    let catalog = pdf.reserve();
    let tree = pdf.reserve();
    let font = pdf.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>");
    let mut kids = Vec::new();
    for lines in pages {
        let content = pdf.stream("", &page_content(lines));
        kids.push(pdf.add(format!(
            "<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R \
             /Resources << /Font << /F1 {font} 0 R >> >> >>"
        )));
    }
    let list = kids.iter().map(|k| format!("{k} 0 R ")).collect::<String>();
    pdf.set(tree, format!("<< /Type /Pages /Count {} /Kids [{list}] >>", kids.len()));

    let outlines = if bookmarks.is_empty() {
        String::new()
    } else {
        let root = pdf.reserve();
        let numbers: Vec<usize> = bookmarks.iter().map(|_| pdf.reserve()).collect();
        for (i, (name, page)) in bookmarks.iter().enumerate() {
            let next = numbers.get(i + 1).map(|n| format!("/Next {n} 0 R ")).unwrap_or_default();
            let previous = i.checked_sub(1).map(|p| format!("/Prev {} 0 R ", numbers[p])).unwrap_or_default();
            pdf.set(
                numbers[i],
                format!(
                    "<< /Title {} /Parent {root} 0 R {next}{previous}/Dest [{} 0 R /XYZ 50 800 0] >>",
                    string(name),
                    kids[*page]
                ),
            );
        }
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        let count = numbers.len();
        pdf.set(root, format!("<< /Type /Outlines /First {first} 0 R /Last {last} 0 R /Count {count} >>"));
        format!("/Outlines {root} 0 R")
    };
    pdf.set(catalog, format!("<< /Type /Catalog /Pages {tree} 0 R {outlines} >>"));
    let info = title.map(|t| {
        let number = pdf.add(format!("<< /Title {} >>", string(t)));
        format!("/Info {number} 0 R")
    });
    pdf.finish(&format!("/Root {catalog} 0 R {}", info.unwrap_or_default()))
}

/// A document of plain lines, for tests.
pub fn simple(pages: &[&str]) -> Vec<u8> {
    let pages: Vec<Vec<Line>> = pages.iter().map(|p| p.lines().map(Line::body).collect()).collect();
    document(&pages, None, &[])
}

pub fn page_content(lines: &[Line]) -> Vec<u8> {
    let mut out = b"BT\n".to_vec();
    let mut y = 790;
    for line in lines {
        y -= i32::try_from(line.size).unwrap_or(11) * 3 / 2;
        if line.text.is_empty() {
            continue;
        }
        out.extend_from_slice(format!("/F1 {} Tf 1 0 0 1 60 {y} Tm ", line.size).as_bytes());
        out.extend_from_slice(string(&line.text).as_bytes());
        out.extend_from_slice(b" Tj\n");
    }
    out.extend_from_slice(b"ET");
    out
}

fn string(text: &str) -> String {
    assert!(text.is_ascii(), "only ASCII: {text}");
    format!("({})", text.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)"))
}
