"""Move everything an engine holds into the data root of user namespaces.

An engine that begins to remap users begins with an empty data root, ``<data-root>/<uid>.<gid>``; what it held
stays in the old one, unseen. This package takes it along: nothing in the old root is changed or removed, so
that the way back is to drop the key.

    ids           ids as containers see them -> ids of the host; in ACLs and file capabilities too
    tree          copy a folder with all that a file system knows of it, and compare the copy
    client        change an engine over its API, pass images from one to another
    staging       a second engine that fills the new root while the first one still works
    definition    from what inspect shows to the request that creates the same container or network
    survey        what there is, what it costs, and what cannot move
    restart       stop and start the engine's unit
    move          all of it, step by step, and back

It is imported only where a host is to be migrated: the activation `userns-migrate` has the key to it.
"""
