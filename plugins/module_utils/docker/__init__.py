"""Modules that read and query the Docker engine; `host_script` sends them with each program.

Standard library of Python 3.8; nothing here imports a program.

    keys           the keys of daemon.json: flag, type, the versions that know them, default
    flags          parse dockerd's command line with that table
    api            the client of the engine's socket
    client         single requests, and streams
    http           read HTTP answers
    answers        required fields of every answer
    engine         find the engine, its command line and its socket
    config         read daemon.json as dockerd does
    seccomp        what the default seccomp profile refuses
    content_trust  which clients verify signatures
    extensions     the folders of NRI plugins and of descriptions of devices
"""
