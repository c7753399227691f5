"""From the snapshot of a host and the variables of a role to the documents that it wants: pure functions.

One module a protection; they run on the control node, in the filters of `plugins/filter/documents.py`.
"""
