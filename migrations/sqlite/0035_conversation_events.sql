-- Of what was told of a conversation only the newest stays after a day.
CREATE INDEX events_of_conversations ON events (user_id, entity, seq) WHERE name = 'conversation_changed';
