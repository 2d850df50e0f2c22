"""Messages to people, kept in an outbox of their own."""
