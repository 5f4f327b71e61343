//! What the tabs of one session say to one another, so that they share one link: the tab that leads has it and passes on
//! what comes; the others follow.

use super::ladder::Transport;
use super::machine::Millis;
use domain::{Epoch, pages::Since};

/// The leader's link as the others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderLink {
    Open,
    Connecting,
    /// The next try comes then.
    Waiting(Millis),
}

#[derive(Clone, Debug, PartialEq)]
pub enum TabMessage {
    /// A tab asks who leads.
    Hello,
    /// A person in a tab that follows pressed "Retry now".
    Hurry,
    /// The leader lives, and stands there in the log.
    Beat { since: Option<Since>, link: LeaderLink, transport: Transport, lost: Option<Millis>, late: bool },
    /// An event, as it came. `after` is the place of the leader before it: whoever is further back has missed something.
    Event { epoch: Epoch, after: u64, frame: String },
    /// The session ended.
    Ended,
}

/// No part of a message has a line end: an epoch is a plain token, and JSON escapes its own.
const BETWEEN: char = '\n';

impl TabMessage {
    pub fn to_text(&self) -> String {
        match self {
            TabMessage::Hello => "hello".to_owned(),
            TabMessage::Hurry => "hurry".to_owned(),
            TabMessage::Ended => "ended".to_owned(),
            TabMessage::Event { epoch, after, frame } => format!("event\n{epoch}\n{after}\n{frame}"),
            TabMessage::Beat { since, link, transport, lost, late } => {
                let (link, until) = match link {
                    LeaderLink::Open => ("open", 0),
                    LeaderLink::Connecting => ("connecting", 0),
                    LeaderLink::Waiting(until) => ("waiting", *until),
                };
                let (epoch, seq) = since.as_ref().map(|s| (s.epoch.0.as_str(), s.seq)).unwrap_or_default();
                let lost = lost.unwrap_or_default();
                format!("beat\n{epoch}\n{seq}\n{link}\n{until}\n{}\n{lost}\n{late}", transport.as_str())
            }
        }
    }

    /// `None` for one that this tab does not know: another tab may be of a newer version.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once(BETWEEN).unwrap_or((text, ""));
        match name {
            "hello" => Some(TabMessage::Hello),
            "hurry" => Some(TabMessage::Hurry),
            "ended" => Some(TabMessage::Ended),
            "event" => {
                let mut parts = rest.splitn(3, BETWEEN);
                let epoch = Epoch(parts.next()?.into());
                Some(TabMessage::Event {
                    epoch,
                    after: parts.next()?.parse().ok()?,
                    frame: parts.next()?.to_owned(),
                })
            }
            "beat" => {
                let mut parts = rest.split(BETWEEN);
                let (epoch, seq) = (parts.next()?, parts.next()?.parse().ok()?);
                let (link, until) = (parts.next()?, parts.next()?.parse().ok()?);
                let link = match link {
                    "open" => LeaderLink::Open,
                    "connecting" => LeaderLink::Connecting,
                    "waiting" => LeaderLink::Waiting(until),
                    _ => return None,
                };
                let transport = Transport::parse(parts.next()?)?;
                let lost = Some(parts.next()?.parse().ok()?).filter(|at| *at != 0);
                let since = (!epoch.is_empty()).then(|| Since { epoch: Epoch(epoch.into()), seq });
                let late = parts.next() == Some("true");
                Some(TabMessage::Beat { since, link, transport, lost, late })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_understood_as_it_was_said() {
        let since = Some(Since { epoch: Epoch("e1".into()), seq: 7 });
        let beat = |link, since, lost: Option<Millis>| {
            let late = lost.is_none();
            TabMessage::Beat { since, link, transport: Transport::Events, lost, late }
        };
        for message in [
            TabMessage::Hello,
            TabMessage::Hurry,
            TabMessage::Ended,
            TabMessage::Event { epoch: Epoch("e1".into()), after: 41, frame: r#"{"a":"b\nc"}"#.to_owned() },
            beat(LeaderLink::Open, since.clone(), None),
            beat(LeaderLink::Connecting, None, Some(12)),
            beat(LeaderLink::Waiting(99), since, Some(12)),
        ] {
            assert_eq!(TabMessage::parse(&message.to_text()), Some(message));
        }
    }

    #[test]
    fn what_is_no_message_is_passed_over() {
        for text in
            ["", "what", "event", "event\ne", "event\ne\nx\n{}", "beat\n\n\n", "beat\ne\n1\nshut\n0\nws\n0"]
        {
            assert_eq!(TabMessage::parse(text), None, "{text:?}");
        }
    }
}
