"""The demo: an invented maker of storage, printers and till software, with its articles, customers and requests."""
