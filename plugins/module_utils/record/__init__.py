"""Record what a container uses: a twin of it does its work, and the kernel tells what it asked for."""
