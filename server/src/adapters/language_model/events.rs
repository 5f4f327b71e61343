//! What a streamed answer says: server-sent events, each with a piece of JSON, up to `[DONE]`.

use serde::Deserialize;
use services::ports::Token;

/// A line that is longer is none of an answer, in bytes.
const LONGEST_LINE: usize = 1 << 20;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Token(Token),
    Done,
    Error,
}

/// Puts lines together, wherever they were cut.
#[derive(Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    /// A reason for the end was told; some servers close then, without a last event.
    has_finished: bool,
}

#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Message>,
    message: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl From<Usage> for Token {
    fn from(usage: Usage) -> Self {
        Token::Usage { prompt: usage.prompt_tokens, completion: usage.completion_tokens }
    }
}

impl Reader {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Said> {
        let mut said = vec![];
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take(&line, &mut said);
            } else if self.line.len() > LONGEST_LINE {
                said.push(Said::Error);
                self.line.clear();
            }
        }
        said
    }

    /// Whether the end of the body is the end of the answer.
    pub(super) fn has_finished(&self) -> bool {
        self.has_finished
    }

    fn take(&mut self, line: &[u8], said: &mut Vec<Said>) {
        let text = String::from_utf8_lossy(line);
        let Some(data) = text.trim().strip_prefix("data:") else { return };
        let data = data.trim();
        if data == "[DONE]" {
            said.push(Said::Done);
            return;
        }
        let Ok(piece) = serde_json::from_str::<Piece>(data) else {
            said.push(Said::Error);
            return;
        };
        if piece.error.is_some_and(|error| !error.is_null()) {
            said.push(Said::Error);
            return;
        }
        for choice in piece.choices.into_iter().take(1) {
            let text = choice.delta.or(choice.message).and_then(|message| message.content);
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                said.push(Said::Token(Token::Text(text)));
            }
            self.has_finished |= choice.finish_reason.is_some_and(|reason| !reason.is_empty());
        }
        if let Some(usage) = piece.usage {
            said.push(Said::Token(usage.into()));
        }
    }
}

/// An answer that came whole; `None` when it is none.
pub(super) fn whole(bytes: &[u8]) -> Option<Vec<Token>> {
    let piece: Piece = serde_json::from_slice(bytes).ok()?;
    let message = piece.choices.into_iter().next()?.message?;
    let text = message.content.filter(|text| !text.is_empty())?;
    let mut tokens = vec![Token::Text(text)];
    tokens.extend(piece.usage.map(Token::from));
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "event: message\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n: keep-alive\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"Grüße \"}}]}\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"an alle\"},\
        \"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n\
        data: [DONE]\n\n";

    fn text(text: &str) -> Said {
        Said::Token(Token::Text(text.to_owned()))
    }

    #[test]
    fn an_answer_is_read_wherever_its_bytes_are_cut() {
        let usage = Said::Token(Token::Usage { prompt: 5, completion: 2 });
        let expected = [text("Grüße "), text("an alle"), usage, Said::Done];
        for size in [1, 2, 3, 7, 50, 10_000] {
            let mut reader = Reader::default();
            let said: Vec<Said> = STREAM.as_bytes().chunks(size).flat_map(|part| reader.push(part)).collect();
            assert_eq!(said, expected, "in pieces of {size}");
            assert!(reader.has_finished());
        }
    }

    #[test]
    fn an_error_in_the_stream_is_one() {
        for line in ["data: {\"error\":{\"message\":\"out of memory\"}}\n", "data: oops\n"] {
            assert_eq!(Reader::default().push(line.as_bytes()), [Said::Error], "{line}");
        }
        assert_eq!(Reader::default().push(b"data: {\"error\":null,\"choices\":[]}\n"), []);
        assert_eq!(
            Reader::default().push(&vec![b'x'; LONGEST_LINE + 1]),
            [Said::Error],
            "a line without an end"
        );
    }

    #[test]
    fn an_answer_that_came_whole_is_read() {
        let json = br#"{"choices":[{"message":{"content":"Yes."}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let usage = Token::Usage { prompt: 1, completion: 2 };
        assert_eq!(whole(json), Some(vec![Token::Text("Yes.".to_owned()), usage]));
        for wrong in ["", "{}", r#"{"choices":[{"message":{"content":""}}]}"#] {
            assert_eq!(whole(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
