"""Record what a container uses: run a twin of it, and count the twin's requests to the kernel."""
