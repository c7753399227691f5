"""Render documents from a host's snapshot and a role's variables: pure functions.

One module per role, with the role's name; the action `render` calls it on the controller. It has
`documents(snapshot, variables)`, and `details(snapshot, variables)` if the role's tasks need more. Variables
have the names of the role's argument specification, without the role's name as a prefix.

A document has the name of the variable that decides it; `DECIDED_BY` names further variables that it depends
on. If the host cannot have it, `refused` is the reason. A refusal fails the task if the site requested the
document, by setting one of its variables; a refused document with `asked: false` was not requested.
"""
