//! Presentational components: they show what they are given, and know neither stores nor the server.
