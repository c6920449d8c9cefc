"""Found by every Python that is started with this folder on PYTHONPATH: see `tests/system/stages.py`."""

from tests.system.stages import install

install()
