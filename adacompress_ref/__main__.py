"""`python -m adacompress_ref` is the command `adacompress`."""

import sys

from .cli.main import main

sys.exit(main())
