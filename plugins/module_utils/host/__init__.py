"""Modules that every on-host program needs; `host_script` sends them with each program.

Standard library of Python 3.8; nothing here imports a program.

    descriptors   open paths by folder descriptors, without following links of other users
    limits        limit time, processor time and memory of programs and helper processes
    atomic        write, replace and remove at opened places
    reserve       reserved room to rewrite a file on a full disk
    layout        the files and folders of hardener on a host
    sources       this program's own source texts, to store them on the host
"""
