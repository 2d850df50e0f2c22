"""The commands of `casebook`, a module for each subject."""
