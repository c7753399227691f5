"""Print the snapshot of this host: `python3 host_snapshot.py`, best as root.

To carry it to a host as one file:
`python3 -m zipapp roles/collect/files -m host_snapshot.main:main -o host_snapshot.pyz`
"""

from host_snapshot.main import main

if __name__ == "__main__":
    main()
