"""What machines ask: is the process alive, can it serve, how far are its parts behind."""
