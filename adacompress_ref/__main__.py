"""`python -m adacompress_ref` is the command `adacompress`."""

import sys

from .cli import main

sys.exit(main())
