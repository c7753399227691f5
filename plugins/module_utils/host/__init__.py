"""What every program that runs on a host stands on; `host_script` sends it along with each of them.

Standard library of Python 3.8; nothing here imports a program.

    descriptors   reach paths by open folders, following no link of another user's
    limits        hold programs and helper processes within time, processor time and memory
    atomic        write, replace and remove at what was reached
    reserve       room that is set aside to rewrite a file on a full disk
    sources       this program's own source texts, to store them on the host
"""
