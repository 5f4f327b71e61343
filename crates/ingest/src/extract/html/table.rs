//! Tables of web pages, with every cell of every row. The converter takes a cell that names its row for the name of a
//! column, and leaves it out below the first row.

use crate::extract::draft::one_line;
use htmd::{
    Element, Node,
    element_handler::{HandlerResult, Handlers},
};
use markup5ever_rcdom::NodeData;
use std::{collections::BTreeMap, rc::Rc};

/// A table with a cell longer than this, in bytes, only arranges the page.
const LONG_CELL: usize = 2000;
/// The columns and the rows that one cell may take.
const MOST_SPAN: usize = 64;
/// A cell that goes on over several rows is written again in each of them, unless it is longer than this.
const REPEATED: usize = 200;
/// A table with more cells is taken apart.
const MOST_CELLS: usize = 200_000;

/// A table with names, as one of Markdown whose first row is its head. What only arranges the page is taken apart, and so is
/// a table within a cell of another one.
pub fn written(handlers: &dyn Handlers, element: Element<'_>) -> Option<HandlerResult> {
    let parts = Parts::of(element.node);
    let rows = if parts.named && !is_in_cell(element.node) { parts.texts(handlers) } else { None };
    let Some(mut rows) = rows else { return Some(handlers.walk_children(element.node)) };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut out = String::from("\n\n");
    for caption in &parts.captions {
        let words = words_of(handlers, caption);
        if !words.is_empty() {
            out.push_str(&format!("{words}\n\n"));
        }
    }
    if let Some(head) = rows.first_mut() {
        head.resize(columns, String::new());
    }
    for (i, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
        if i == 0 {
            out.push_str(&format!("|{}\n", " --- |".repeat(columns)));
        }
    }
    out.push('\n');
    Some(out.into())
}

#[derive(Default)]
struct Parts {
    captions: Vec<Rc<Node>>,
    rows: Vec<Rc<Node>>,
    /// It names its columns or its rows.
    named: bool,
}

/// A cell that goes on in the rows below.
struct GoesOn {
    /// How many more.
    rows: usize,
    text: String,
}

impl Parts {
    fn of(table: &Rc<Node>) -> Self {
        let mut parts = Self::default();
        for child in children(table) {
            match tag(&child) {
                "caption" => parts.captions.push(child),
                "tr" => parts.rows.push(child),
                group @ ("thead" | "tbody" | "tfoot") => {
                    parts.named |= group == "thead";
                    parts.rows.extend(children(&child).into_iter().filter(|row| tag(row) == "tr"));
                }
                _ => {}
            }
        }
        parts.named |= parts.rows.iter().any(|row| children(row).iter().any(|cell| tag(cell) == "th"));
        parts
    }

    /// The rows with words in them, each cell in its column. `None`: there is none, or it is no table of facts.
    fn texts(&self, handlers: &dyn Handlers) -> Option<Vec<Vec<String>>> {
        let mut above: BTreeMap<usize, GoesOn> = BTreeMap::new();
        let (mut out, mut cells) = (Vec::new(), 0);
        for row in &self.rows {
            let mut texts: Vec<String> = Vec::new();
            let mut below = BTreeMap::new();
            for cell in children(row).iter().filter(|cell| matches!(tag(cell), "td" | "th")) {
                go_on(&mut above, &mut below, &mut texts);
                let text = words_of(handlers, cell);
                if text.len() > LONG_CELL || cells + texts.len() > MOST_CELLS {
                    return None;
                }
                let (first, rows) = (texts.len(), span(cell, "rowspan"));
                texts.push(text);
                texts.resize(first + span(cell, "colspan"), String::new());
                if rows > 1 {
                    for (column, text) in texts.iter().enumerate().skip(first) {
                        let text = if text.len() > REPEATED { String::new() } else { text.clone() };
                        below.insert(column, GoesOn { rows: rows - 1, text });
                    }
                }
            }
            go_on(&mut above, &mut below, &mut texts);
            above = below;
            cells += texts.len();
            if texts.iter().any(|text| !text.is_empty()) {
                out.push(texts);
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

/// Puts the cells of the rows above that stand next into this one.
fn go_on(above: &mut BTreeMap<usize, GoesOn>, below: &mut BTreeMap<usize, GoesOn>, texts: &mut Vec<String>) {
    while let Some(cell) = above.remove(&texts.len()) {
        let column = texts.len();
        texts.push(cell.text.clone());
        if cell.rows > 1 {
            below.insert(column, GoesOn { rows: cell.rows - 1, text: cell.text });
        }
    }
}

fn words_of(handlers: &dyn Handlers, node: &Rc<Node>) -> String {
    handlers.handle(node).map(|found| one_line(&found.content)).unwrap_or_default()
}

fn span(cell: &Node, name: &str) -> usize {
    let NodeData::Element { attrs, .. } = &cell.data else { return 1 };
    let attrs = attrs.borrow();
    let value = attrs.iter().find(|attribute| attribute.name.local.as_ref() == name);
    value.and_then(|attribute| attribute.value.trim().parse::<usize>().ok()).unwrap_or(1).clamp(1, MOST_SPAN)
}

fn is_in_cell(node: &Node) -> bool {
    let mut above = parent(node);
    while let Some(node) = above {
        if matches!(tag(&node), "td" | "th") {
            return true;
        }
        above = parent(&node);
    }
    false
}

fn parent(node: &Node) -> Option<Rc<Node>> {
    // It can only be looked at by taking it out.
    let parent = node.parent.take();
    node.parent.set(parent.clone());
    parent?.upgrade()
}

fn children(node: &Node) -> Vec<Rc<Node>> {
    node.children.borrow().clone()
}

fn tag(node: &Node) -> &str {
    match &node.data {
        NodeData::Element { name, .. } => name.local.as_ref(),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use htmd::HtmlToMarkdown;

    fn text(html: &str) -> String {
        HtmlToMarkdown::builder().add_handler(vec!["table"], written).build().convert(html).unwrap()
    }

    #[test]
    fn the_names_of_rows_stay_with_what_stands_beside_them() {
        assert_eq!(
            text(
                "<p>Said.</p><table><caption>Ada</caption><tr><th>Born</th><td>1815<br>London</td></tr>\
                 <tr><th>Known for</th><td>Notes | letters</td></tr></table><p>End.</p>"
            ),
            "Said.\n\nAda\n\n| Born | 1815 London |\n| --- | --- |\n| Known for | Notes \\| letters |\n\nEnd."
        );
    }

    #[test]
    fn cells_over_several_rows_and_columns_leave_all_others_in_their_places() {
        assert_eq!(
            text(
                "<table><thead><tr><th rowspan=2>Port</th><th colspan=2>Tons</th></tr>\
                 <tr><th>In</th><th>Out</th></tr></thead>\
                 <tbody><tr><th scope=row>North</th><td>1</td><td>2</td></tr><tr></tr></tbody>\
                 <tfoot><tr><th>All</th><td>1</td><td>2</td></tr></tfoot></table>"
            ),
            "| Port | Tons |  |\n| --- | --- | --- |\n| Port | In | Out |\n| North | 1 | 2 |\n| All | 1 | 2 |"
        );
        let many = "<tr><th rowspan=99999 colspan=99999>x</th></tr>".repeat(10_000);
        assert!(text(&format!("<table>{many}</table>")).len() < 1 << 20, "it becomes no more than it is");
    }

    #[test]
    fn what_arranges_a_page_is_taken_apart_and_a_table_in_a_cell_stands_in_its_row() {
        let long = "word ".repeat(500);
        let read = text(&format!("<table><tr><th>Menu</th><td><h2>Title</h2>{long}</td></tr></table>"));
        assert!(read.starts_with("Menu\n\n## Title\n\nword"), "{read}");
        let none = text("<table><tr><td>one</td><td>two</td></tr></table>");
        assert_eq!(none.split_whitespace().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(
            text("<table><tr><th>a</th><td><table><tr><th>b</th><td>c</td></tr></table></td></tr></table>"),
            "| a | b c |\n| --- | --- |"
        );
    }
}
