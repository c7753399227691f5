"""Record what a container uses: run a twin of it and count its use of the kernel."""
