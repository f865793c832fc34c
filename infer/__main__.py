"""Print what a report of a problem needs, and test the installation: `python -m infer`."""

import sys

from .output.self_test import main

sys.exit(main())
