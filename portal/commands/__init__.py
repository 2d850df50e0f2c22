"""The commands of `casebook`, a module for each subject.

A module lists its commands in `commands: list[click.Command]`; each runs in an application context.  Those in
`bare_commands` make the portal themselves, or need none.  A refusal is a `click.ClickException` or an `OperationError`
with a sentence; `portal.cli` prints it on stderr and ends with 1.
"""
