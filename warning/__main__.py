"""`python -m warning` is the `dam-warning` command."""

import sys

from warning.cli.main import main

sys.exit(main())
