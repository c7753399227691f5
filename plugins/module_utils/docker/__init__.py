"""What every program knows of the Docker engine; it goes to a host with each of them, like `host`.

Standard library of Python 3.8; nothing here imports a program.

    keys      the keys of daemon.json: flag, type, and the versions that know them
    flags     read dockerd's command line by that table
    api       the client of the engine's socket
    client    requests one by one, and streams, over that
    http      the answers that it reads
    answers   what every answer of the engine must have
    engine    find the engine, its command line and its socket
    config    read daemon.json as dockerd does
"""
