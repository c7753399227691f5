"""From the snapshot of a host and the variables of a role to the documents that it wants: pure functions.

One module a role, and of its name; the action `render` calls it on the control node. It has
`documents(snapshot, variables)`, and `details(snapshot, variables)` where the role's tasks have to know more.
A variable is called there as in the role's argument specification, without the role's name before it.

A document is called by the variable that decides it; `DECIDED_BY` names the others that it depends on. Where
the host can't have it, `refused` is the reason. That fails the task where the site has asked for it, which is
told by the variables that it has named; a document that says `asked: false` is refused as the site wants it.
"""
