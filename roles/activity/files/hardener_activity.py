"""Start the resident collector: what its unit runs."""

from host_activity.resident import main

if __name__ == "__main__":
    main()
