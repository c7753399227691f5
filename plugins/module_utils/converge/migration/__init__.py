"""Migrate everything that an engine holds to the data root of user namespaces.

An engine that starts to remap users uses an empty data root, ``<data-root>/<uid>.<gid>``, and no longer lists
the data in the old one. This package copies that data: nothing in the old root is changed or removed, so the
undo is to remove the key.

    ids           ids as containers see them -> ids of the host; in ACLs and file capabilities too
    tree          copy a folder with all that a file system knows of it, and compare the copy
    client        change an engine over its API, stream images from one to another
    staging       a second engine that imports images into the new root while the first one works
    definition    from what inspect shows to the request that creates the same container or network
    survey        what has to be migrated, its impact, and obstacles
    restart       restart the engine by its unit
    remains       mounts and containers that an ended engine leaves behind
    stages        the names of the stages
    move          the migration stage by stage
    undo          its undo

It is imported on demand by the activation `userns-migrate`.
"""
