"""Users, sign-in, sessions on the server, API tokens."""
