"""Reading printed text in photographs.

From version 1.29 on, onnxruntime's wheels for Linux and macOS report their use to their maker unless this variable is
set before the library is loaded. Nothing leaves a device here that its owner did not approve, so it is set before any
module of this package can load it; the worker process has no network besides.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
