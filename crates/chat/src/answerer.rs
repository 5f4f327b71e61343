//! Who answers: the language model, where the operator named one, else the extract.

use crate::{extract, html, prompt::prompt};
use async_trait::async_trait;
use domain::{
    chat::{
        AnswerKind,
        citation::{Citations, written},
    },
    resource::SearchHit,
};
use futures::{StreamExt, stream};
use services::ports::{Answerer, ChosenModel, LanguageModel, ModelError, ToAnswer, Token, Tokens};
use std::sync::Arc;

/// See the module.
pub struct Answers {
    model: Option<Arc<dyn LanguageModel>>,
}

impl Answers {
    pub fn new(model: Option<Arc<dyn LanguageModel>>) -> Self {
        Self { model }
    }
}

#[async_trait]
impl Answerer for Answers {
    fn relevant(&self, query: &str, passages: Vec<SearchHit>) -> Vec<SearchHit> {
        passages.into_iter().filter(|hit| extract::is_relevant(query, hit)).collect()
    }

    fn is_follow_up(&self, query: &str) -> bool {
        extract::is_follow_up(query)
    }

    fn choose(&self) -> ChosenModel {
        match &self.model {
            Some(model) => ChosenModel { kind: AnswerKind::Model, model: model.name() },
            None => ChosenModel { kind: AnswerKind::Extract, model: extract::NAME.to_owned() },
        }
    }

    async fn answer(&self, chosen: &ChosenModel, asked: ToAnswer) -> Result<Tokens, ModelError> {
        let model = self.model.as_ref().filter(|_| chosen.kind == AnswerKind::Model);
        let Some(model) = model else {
            let pieces = extract::answer(&asked.query, &asked.passages);
            return Ok(stream::iter(pieces.into_iter().map(|piece| Ok(Token::Text(piece)))).boxed());
        };
        let tokens = model.stream(prompt(&asked)).await?;
        Ok(checked(tokens, asked.passages.len()))
    }

    fn html(&self, answer: &str, sources: usize, anchor: &str) -> String {
        html::html(answer, sources, anchor)
    }
}

/// What a model says, with citations of sources that there are.
fn checked(tokens: Tokens, sources: usize) -> Tokens {
    // Without a reader nothing is held back any more, and what comes is the end.
    let state = (tokens, Some(Citations::new(sources)));
    stream::unfold(state, |(mut tokens, mut reader)| async move {
        loop {
            let next = tokens.next().await;
            let Some(citations) = &mut reader else { return next.map(|token| (token, (tokens, reader))) };
            let text = match next {
                Some(Ok(Token::Text(piece))) => written(citations.push(&piece)),
                Some(Ok(other)) => return Some((Ok(other), (tokens, reader))),
                // What was held back was said before the end, whatever that is.
                end => {
                    tokens = stream::iter(end).boxed();
                    written(reader.take()?.finish())
                }
            };
            if !text.is_empty() {
                return Some((Ok(Token::Text(text)), (tokens, reader)));
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&str], error: bool) -> Tokens {
        let mut all: Vec<Result<Token, ModelError>> =
            pieces.iter().map(|piece| Ok(Token::Text((*piece).to_owned()))).collect();
        if error {
            all.push(Err(ModelError {
                code: "broke_off",
                sentence: "It broke off.".into(),
                retryable: true,
            }));
        }
        stream::iter(all).boxed()
    }

    async fn heard(mut tokens: Tokens) -> (String, Option<ModelError>) {
        let mut text = String::new();
        while let Some(token) = tokens.next().await {
            match token {
                Ok(Token::Text(piece)) => text.push_str(&piece),
                Ok(Token::Usage { .. }) => {}
                Err(error) => return (text, Some(error)),
            }
        }
        (text, None)
    }

    #[tokio::test]
    async fn citations_are_checked_wherever_a_piece_ends() {
        assert_eq!(
            heard(checked(said(&["On the quay [", "1", "] and [", "7].", " End ["], false), 2)).await.0,
            "On the quay [1] and. End ["
        );
    }

    #[tokio::test]
    async fn what_came_before_a_model_broke_off_is_all_there() {
        let (text, error) = heard(checked(said(&["On the quay ["], true), 2)).await;
        assert_eq!(text, "On the quay [");
        assert_eq!(error.expect("it broke off").code, "broke_off");
    }
}
