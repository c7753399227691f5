"""Change a host in one transaction: all resources or none, one restart, and a rollback on failure.

``main.converge`` takes the documents of a host's protections and returns what it did, as JSON data. The
action plugin `converge` delivers this folder and the package `host` over the connection (standard library
of Python 3.8, root).

    main          entry points: request and result
    documents     the request, validated
    selection     selects documents by their impact on this host
    planning      resources and the state of the host -> the changes to make
    jsonkeys      keys of a JSON file, with a record of their former values
    files         read, replace, set owners and modes; every write is atomic
    backup        former states of paths, with an entry for each in a manifest
    journal       the phase of an unfinished run, and what its undo needs
    transaction   lock, plan, apply, activate, verify
    guard         rolls back unconfirmed runs; ``guard_main`` is its program, which also ends its attempts
    confirm       the call over a new connection that confirms a run
    health        compares services with a baseline; ``probes`` sends network requests
    liveness      finds the ssh connection of the run; checks that programs start and connections are accepted
    rollback      rolls a run back; ``history`` lists all runs of a host
    release       restores the host by one more run; ``origin`` and ``giving_back`` determine former states,
                  ``roleparts`` what belongs to a role, ``departure`` what is removed after confirmation
    locking       one run per host at a time
    worker        the process that survives the connection
    chains        hardener's chains of the packet filter
    activations   load rules and modules, reload systemd, restart the engine; each once and in order
    serving       locates the engine that a run changes
    daemonconfig  validates a daemon.json before the engine reads it
"""
