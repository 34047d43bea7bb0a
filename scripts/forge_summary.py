"""Print a summary of ``forge test --json`` and fail unless tests really ran and all passed.

forge exits 0 when nothing matched; a suite that vanishes must not look green.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

MINIMUM_TESTS = 630


def main() -> int:
    suites = json.loads(Path(sys.argv[1]).read_text())
    passed, failed = 0, 0
    for name, suite in sorted(suites.items()):
        results = suite["test_results"]
        good = sum(result["status"] == "Success" for result in results.values())
        passed, failed = passed + good, failed + len(results) - good
        print(f"  {good:4d} of {len(results):4d}  {name.rpartition('/')[2]}")
    print(f"forge: {passed} passed, {failed} failed")
    if passed + failed < MINIMUM_TESTS:
        print(f"error: only {passed + failed} tests ran, at least {MINIMUM_TESTS} were expected", file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
