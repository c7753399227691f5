"""From the snapshot of a host and the variables of a role to the documents that it wants: pure functions.

One module a role, and of its name; the action `render` calls it on the control node. It has
`documents(snapshot, variables)`, and `details(snapshot, variables)` where the role's tasks have to know more.
A variable is called there as in the role's argument specification, without the role's name before it.
"""
