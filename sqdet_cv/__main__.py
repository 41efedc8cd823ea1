"""`python -m sqdet_cv` is `sqdet`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
