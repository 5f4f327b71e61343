//! The hub against a log in memory and a bus that misbehaves: whatever the bus loses, doubles or reorders, each
//! connection gets every event once, in order.

#![expect(clippy::unwrap_used, reason = "a poisoned lock is a failed test")]

mod any_course;
mod bus;
mod ends;
mod resuming;
mod world;
