"""Search: what was asked, the engines that answer, and what they answer with."""
