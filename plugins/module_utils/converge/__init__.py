"""Change a host in one transaction: all resources or none, one restart, and a rollback on failure.

``main.converge`` takes the documents of a host's protections and returns what it did, as JSON data. The
action plugin `converge` delivers this folder and the package `host` over the connection (standard library
of Python 3.8, root).

    main          the request, the result
    documents     what the controller asked for, checked
    choice        what costs more than is allowed stays out
    planning      resources and the state of the host -> the changes to make
    jsonkeys      keys of a JSON file, with a record of whose they are
    files         read, replace, set owners and modes; nothing is ever half-written
    backup        what was there before, and the journal of an unfinished run
    transaction   lock, plan, apply, activate, verify
    guard         a dead-man's switch; ``watch`` is what it runs, ``abandon`` what ends it
    confirm       the call over a new connection that lets a run stay
    health        what the host did before, and does not any more; ``probes`` asks over the network
    liveness      whether programs start and new connections are answered, whatever was changed
    rollback      take a run back; ``history`` knows all runs of a host
    release       give the host back by one more run; ``origin`` and ``giving_back`` say what was before,
                  ``roleparts`` what is whose, ``departure`` what goes once the release stays
    locking       one run a host at a time
    detached      a worker that survives the connection
    session       the ssh connection that brought us
    chains        our chains of the packet filter
    activations   load rules and modules, reload systemd, restart the engine; each once and in order
    serving       where the engine is that a run changes
    daemonconfig  what is wrong with a daemon.json before the engine finds out
"""
