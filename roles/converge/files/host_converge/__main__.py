"""Run by hand: the request as JSON on standard input, the result as JSON on standard output."""

import json
import sys

from host_converge.main import converge

if __name__ == "__main__":
    result = converge(json.load(sys.stdin))
    json.dump(result, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")
    sys.exit(1 if result.get("failed") else 0)
